//! The calls that the clients make, and what each client sees.

use serde_json::{Value, json};

use crate::clients::Client::{self, Buf, Es, Python};

const ALL: &[Client] = &[Es, Python, Buf];
const LIBRARIES: &[Client] = &[Es, Python];
const ONLY_ES: &[Client] = &[Es];
const ONLY_PYTHON: &[Client] = &[Python];

/// The codes by their gRPC numbers from 1 on, with the HTTP status of a unary call.
const CODES: [(&str, u16); 16] = [
    ("canceled", 499),
    ("unknown", 500),
    ("invalid_argument", 400),
    ("deadline_exceeded", 504),
    ("not_found", 404),
    ("already_exists", 409),
    ("permission_denied", 403),
    ("resource_exhausted", 429),
    ("failed_precondition", 400),
    ("aborted", 409),
    ("out_of_range", 400),
    ("unimplemented", 501),
    ("internal", 500),
    ("unavailable", 503),
    ("data_loss", 500),
    ("unauthenticated", 401),
];

/// A pause that no test waits for.
const FOREVER_MS: u32 = 50_000;

/// A row of the table.
pub struct Scenario {
    pub name: &'static str,
    pub clients: &'static [Client],
    call: Value,
    sees: Value,
}

impl Scenario {
    /// The call in every form that the client can send: codecs, HTTP versions, with and without compression.
    pub fn forms(&self, client: Client) -> Vec<Value> {
        if client == Buf {
            // It sends protobuf over HTTP/1.1, except for bidirectional streams.
            return vec![self.call.clone()];
        }
        let mut forms = Vec::new();
        for codec in ["json", "proto"] {
            for version in ["1.1", "2"].into_iter().filter(|version| self.call["http2"] != true || *version == "2") {
                for compression in ["identity", "gzip"] {
                    let mut call = self.call.clone();
                    call["codec"] = codec.into();
                    call["version"] = version.into();
                    call["compression"] = compression.into();
                    forms.push(call);
                }
            }
        }
        forms
    }

    /// What this client sees.
    pub fn sees_by(&self, client: Client) -> Value {
        let mut sees = self.sees.clone();
        if client == Es {
            // It does not show the HTTP status.
            sees.as_object_mut().expect("an object").remove("http");
        }
        sees
    }
}

/// The table.
pub fn all() -> Vec<Scenario> {
    let ann = || json!({"name": "Ann"});
    let failing = |times: u32, code: usize| json!({"name": "Ann", "times": times, "error": code});
    let endless = |times: u32| json!({"name": "Ann", "times": times, "pauseMs": FOREVER_MS});
    let name_of = |bytes: usize| json!({"name": "x".repeat(bytes)});
    let hello =
        |names: &[&str]| -> Value { names.iter().map(|name| json!({"text": format!("Hello, {name}!")})).collect() };
    let answers = |messages: Value| json!({"messages": messages, "code": null, "http": 200});
    let fails = |code: &str, http: u16| json!({"messages": [], "code": code, "http": http});
    let moods = json!({"mood": "merry, loud", "mood-bin": "AAEC"});
    let sent_moods = json!([["mood", "merry"], ["mood", "loud"], ["mood-bin", "AAEC"]]);
    let moody = |method: &str, request: Value| json!({"method": method, "requests": [request], "headers": sent_moods});
    let both = |messages: Value| json!({"messages": messages, "header": moods, "trailer": moods});
    let call = |method: &str, requests: Vec<Value>| json!({"method": method, "requests": requests});
    let with = |mut call: Value, option: &str, value: Value| {
        call[option] = value;
        call
    };
    let timed = |call, ms: u32| with(call, "timeoutMs", ms.into());
    let http2 = |call| with(call, "http2", true.into());
    let mut rows = vec![
        // scenario, clients, call, what they see
        ("unary call", ALL, call("Greet", vec![ann()]), answers(hello(&["Ann"]))),
        (
            "unary call by GET",
            LIBRARIES,
            with(call("Greet", vec![ann()]), "get", true.into()),
            answers(hello(&["Ann"])),
        ),
        (
            "server stream",
            ALL,
            call("Repeat", vec![json!({"name": "Ann", "times": 2})]),
            answers(hello(&["Ann", "Ann"])),
        ),
        (
            "client stream",
            ALL,
            call("GreetAll", vec![ann(), ann()]),
            answers(json!([{"text": "Hello, Ann! Hello, Ann!"}])),
        ),
        ("bidirectional stream", ALL, http2(call("Chat", vec![ann(), ann()])), answers(hello(&["Ann", "Ann"]))),
        (
            "bidirectional stream in turn",
            ONLY_ES,
            http2(with(call("Chat", vec![ann(), ann(), ann()]), "inTurn", true.into())),
            answers(hello(&["Ann", "Ann", "Ann"])),
        ),
        ("stream without requests", LIBRARIES, call("GreetAll", vec![]), answers(json!([{}]))),
        ("stream without answers", ALL, call("Repeat", vec![ann()]), answers(json!([]))),
        ("empty messages", ALL, call("Wave", vec![json!({})]), answers(json!([{}]))),
        ("empty messages", ALL, call("GreetAll", vec![json!({})]), answers(hello(&[""]))),
        ("empty messages", ALL, http2(call("Chat", vec![json!({}), json!({})])), answers(hello(&["", ""]))),
        ("headers and trailers", ALL, moody("Greet", ann()), both(hello(&["Ann"]))),
        ("headers and trailers", LIBRARIES, moody("GreetAll", ann()), both(hello(&["Ann"]))),
        ("headers and trailers", LIBRARIES, moody("Repeat", json!({"name": "Ann", "times": 1})), both(hello(&["Ann"]))),
        (
            "headers of an error",
            LIBRARIES,
            moody("Greet", failing(0, 5)),
            json!({"code": "not_found", "metadata": moods}),
        ),
        (
            "error message in Unicode",
            ALL,
            call("Greet", vec![json!({"name": "\nZoë \r\n☺ 😈", "error": 9})]),
            json!({"code": "failed_precondition", "message": "no more greetings for \nZoë \r\n☺ 😈"}),
        ),
        (
            "error details",
            ALL,
            call("Greet", vec![failing(0, 8)]),
            json!({"code": "resource_exhausted", "details": ["google.rpc.ErrorInfo"]}),
        ),
        (
            "error after messages",
            ALL,
            call("Repeat", vec![failing(2, 15)]),
            json!({"messages": hello(&["Ann", "Ann"]), "code": "data_loss", "details": ["google.rpc.ErrorInfo"]}),
        ),
        // Over HTTP/1.1 a client may not read an answer that comes before the end of its request.
        (
            "error of a client stream",
            LIBRARIES,
            http2(call("GreetAll", vec![ann(), failing(0, 10)])),
            fails("aborted", 200),
        ),
        (
            "error of a bidirectional stream",
            ALL,
            http2(call("Chat", vec![ann(), failing(0, 10)])),
            json!({"messages": hello(&["Ann", "Ann"]), "code": "aborted"}),
        ),
        ("deadline that is met", LIBRARIES, timed(call("Greet", vec![ann()]), FOREVER_MS), answers(hello(&["Ann"]))),
        ("deadline", LIBRARIES, timed(call("Greet", vec![endless(0)]), 50), json!({"code": "deadline_exceeded"})),
        ("deadline", LIBRARIES, timed(call("Repeat", vec![endless(2)]), 50), json!({"code": "deadline_exceeded"})),
        (
            "stream that the client cancels",
            LIBRARIES,
            with(
                call("Repeat", vec![json!({"name": "Eve", "times": 2, "pauseMs": FOREVER_MS})]),
                "cancelAfter",
                1.into(),
            ),
            json!({"messages": hello(&["Eve"]), "code": "canceled"}),
        ),
        ("large message", ALL, call("Greet", vec![name_of(60_000)]), answers(hello(&[&"x".repeat(60_000)]))),
        ("message over the limit", LIBRARIES, http2(call("Greet", vec![name_of(65_540)])), fails("out_of_range", 400)),
        (
            "message over the limit",
            LIBRARIES,
            http2(call("GreetAll", vec![ann(), name_of(65_540)])),
            fails("out_of_range", 200),
        ),
        ("method that is not implemented", ALL, call("Sing", vec![json!({})]), fails("unimplemented", 501)),
        ("unknown method", ONLY_ES, call("Nowhere", vec![json!({})]), fails("unimplemented", 404)),
        ("unknown method", ONLY_PYTHON, call("Nowhere", vec![json!({})]), fails("unavailable", 404)),
    ];
    for (index, (code, http)) in CODES.into_iter().enumerate() {
        let number = index + 1;
        rows.push(("all error codes", LIBRARIES, call("Greet", vec![failing(0, number)]), fails(code, http)));
        rows.push(("all error codes", LIBRARIES, call("Repeat", vec![failing(0, number)]), fails(code, 200)));
    }
    rows.into_iter().map(|(name, clients, call, sees)| Scenario { name, clients, call, sees }).collect()
}
