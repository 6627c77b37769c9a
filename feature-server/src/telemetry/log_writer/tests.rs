//! The output for a reader of the log that reads, that hangs, and that is gone.

use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use super::*;

/// How a sink handles the next lines.
enum Reader {
    Reads,
    /// Until the other end sends or is dropped.
    IsStuck(Receiver<()>),
    IsGone,
}

/// Forwards written bytes, and follows its script; without one it reads.
struct Sink {
    script: Receiver<Reader>,
    written: Sender<String>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.script.try_recv().unwrap_or(Reader::Reads) {
            Reader::Reads => {}
            Reader::IsStuck(end) => drop(end.recv()),
            Reader::IsGone => return Err(ErrorKind::BrokenPipe.into()),
        }
        self.written.send(String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Log {
    writer: &'static LogWriter,
    reader: Sender<Reader>,
    written: Receiver<String>,
    reported: Receiver<u64>,
}

const LONG: Duration = Duration::from_secs(60);

impl Log {
    fn new() -> Self {
        let (reader, script) = channel();
        let (sender, written) = channel();
        let (report, reported) = channel();
        let writer =
            LogWriter::start(Sink { script, written: sender }, move |lines| report.send(lines).unwrap(), || {});
        Self { writer, reader, written, reported }
    }

    /// Everything written so far.
    fn written(&self) -> String {
        self.writer.flush(LONG);
        self.written.try_iter().collect()
    }
}

#[test]
fn lines_are_written_in_their_order() {
    let log = Log::new();
    let lines: Vec<String> = (0..1_000).map(|number| format!("line {number}\n")).collect();
    lines.iter().for_each(|line| log.writer.push(WAITING_BYTES, line.as_bytes()));
    assert_eq!(log.written(), lines.concat());
    assert_eq!(log.reported.try_iter().count(), 0);
}

#[test]
fn lines_of_a_reader_that_is_gone_are_counted_and_the_count_follows_the_next_line_that_is_written() {
    let log = Log::new();
    for number in 1..=3 {
        log.reader.send(Reader::IsGone).unwrap();
        log.writer.push(WAITING_BYTES, format!("lost {number}\nand more\n").as_bytes());
        assert_eq!(log.written(), "");
    }
    log.writer.push(WAITING_BYTES, b"kept\n");
    assert_eq!(log.written(), "kept\n");
    assert_eq!(log.reported.try_iter().collect::<Vec<_>>(), [6]);
}

#[test]
fn lines_of_a_stuck_reader_are_left_out_beyond_a_bound_and_details_before_others() {
    let log = Log::new();
    let (end, stuck) = sync_channel(0);
    log.reader.send(Reader::IsStuck(stuck)).unwrap();
    log.writer.push(WAITING_BYTES, b"first\n");
    // From now on the thread writes the first line, and has taken no other one.
    while !log.writer.state().writing {
        thread::yield_now();
    }
    let line = [vec![b'x'; 1023], vec![b'\n']].concat();
    let table = [
        // (room, lines pushed, lines waiting then, left out until then)
        (DETAILS_BYTES, 3_000, 2_048, 952),
        (WAITING_BYTES, 3_000, 4_096, 952 + 952),
        (DETAILS_BYTES, 1, 4_096, 952 + 952 + 1),
    ];
    for (room, pushed, waiting, left_out) in table {
        (0..pushed).for_each(|_| log.writer.push(room, &line));
        let state = log.writer.state();
        assert_eq!((state.waiting.len() / line.len(), state.left_out), (waiting, left_out));
    }
    log.writer.flush(Duration::ZERO);
    assert!(log.writer.state().writing, "a flush gives up in time");
    end.send(()).unwrap();
    assert_eq!(log.written().lines().count(), 1 + 4_096);
    assert_eq!(log.reported.try_iter().collect::<Vec<_>>(), [1_905]);
    assert!(log.writer.state().waiting.capacity() <= KEPT_BYTES, "the room that the flood took is given back");
}

#[test]
fn a_sink_that_takes_parts_and_would_block_gets_whole_lines_in_the_end() {
    struct Slow(Vec<u8>, bool);
    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.0.extend_from_slice(&bytes[..bytes.len().min(2)]);
            Ok(bytes.len().min(2))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut slow = Slow(Vec::new(), false);
    assert_eq!(write(&mut slow, b"one\ntwo\n"), 0);
    assert_eq!(slow.0, b"one\ntwo\n");
}
