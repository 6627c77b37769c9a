//! What a client may do with HTTP/1.1 and HTTP/2: the limits that hyper and h2 hold.

use std::time::Duration;

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;

use crate::config::settings::Limits;
use crate::net::inline_executor::CallQueue;

/// The most headers of a request. hyper's limit for HTTP/1.1 is the same.
pub(super) const HEADERS: usize = 100;

/// The smallest buffer that hyper accepts for the header of an HTTP/1.1 request.
const LEAST_HTTP1_BUFFER: usize = 8 * 1024;

/// How long an HTTP/2 client may be silent before the server sends a PING, and how long it may take to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Flow-control windows of a stream and of a connection. They bound the bytes that the server buffers before a service
/// reads them. A message larger than the stream's window takes a few round trips.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// The most bytes of one answer that are buffered while the client does not read. The service is polled for more only
/// when the client has read some.
const SEND_BUFFER: usize = 64 * 1024;

/// How many streams a client may open and reset before the server has made a call of them ("rapid reset"). A client
/// that exceeds this gets a GOAWAY.
const RESETS_BEFORE_CALL: usize = 20;

/// How many stream errors a client may provoke over the life of a connection, for which the server resets the stream
/// ("MadeYouReset"). A correct client provokes some: h2 remembers the last 50 streams that it has reset, and late data
/// of older ones counts, for example when many calls are refused before their requests are complete. To replace a
/// connection with a hundred such calls costs more than to ignore their data.
const RESETS_BY_MISTAKE: usize = 256;

/// Serves HTTP over connections within these limits.
pub(super) fn builder(limits: &Limits) -> auto::Builder<CallQueue> {
    let mut http = auto::Builder::new(CallQueue);
    http.http1()
        .timer(TokioTimer::new())
        // hyper counts the wait for the next request as well, so this also bounds the idle time of an HTTP/1.1
        // connection.
        .header_read_timeout(Duration::from_millis(limits.receive_timeout_ms))
        .max_buf_size(LEAST_HTTP1_BUFFER.max(limits.header_bytes as usize));
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        // h2 also bounds the number of frames of a header block. A header block that never ends blocks everything
        // else on the connection, keepalive pings included, so the keepalive timeout closes it.
        .max_header_list_size(limits.header_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS_BEFORE_CALL)
        .max_local_error_reset_streams(RESETS_BY_MISTAKE)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    http
}
