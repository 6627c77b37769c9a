//! Streams as server-sent events, which browsers read without a library and continue by themselves.
//!
//! A method whose request and messages have a text field `resume_token` can be continued: the token is the id of an
//! event, and a client that comes again has it in the header `last-event-id`.

use bytes::Bytes;
use http::HeaderValue;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value};

const RESUME_TOKEN: &str = "resume_token";

/// Lets a request continue where the client has left off.
pub(super) fn resume(request: &mut DynamicMessage, last_event_id: Option<&HeaderValue>) {
    let field = request.descriptor().get_field_by_name(RESUME_TOKEN).filter(|field| field.kind() == Kind::String);
    let token = last_event_id.and_then(|id| id.to_str().ok()).filter(|token| !token.is_empty());
    if let (Some(field), Some(token)) = (field, token) {
        request.set_field(&field, Value::String(token.to_owned()));
    }
}

/// The event of a message. A message without a token keeps the id of the one before.
pub(super) fn event(descriptor: &MessageDescriptor, message: &Bytes, json: &[u8]) -> Bytes {
    let token = DynamicMessage::decode(descriptor.clone(), message.clone()).ok().and_then(|message| {
        let token = message.get_field_by_name(RESUME_TOKEN)?;
        token.as_str().filter(|token| !token.is_empty() && !token.contains(['\n', '\r', '\0'])).map(str::to_owned)
    });
    let id = token.map(|token| format!("id: {token}\n")).unwrap_or_default();
    [id.as_bytes(), b"data: ", json, b"\n\n"].concat().into()
}

/// The event of a failure, which ends the stream.
pub(super) fn error(status: &[u8]) -> Bytes {
    [b"event: error\ndata: ", status, b"\n\n"].concat().into()
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::rest::tests::support::compile;

    #[test]
    fn the_token_of_a_message_is_the_id_of_its_event_and_the_last_id_goes_into_the_request() {
        let method = compile("rpc A(Request) returns (stream Answer);").services().next().unwrap().methods().next();
        let method = method.unwrap();
        let answer = |token: &str| {
            let mut answer = DynamicMessage::new(method.output());
            answer.set_field_by_name(RESUME_TOKEN, Value::String(token.to_owned()));
            let event = event(&method.output(), &answer.encode_to_vec().into(), b"{}");
            String::from_utf8(event.to_vec()).unwrap()
        };
        for (token, expected) in [
            ("", "data: {}\n\n"),
            ("abc", "id: abc\ndata: {}\n\n"),
            // It would end the field.
            ("a\nb", "data: {}\n\n"),
            ("a\0b", "data: {}\n\n"),
        ] {
            assert_eq!(answer(token), expected, "{token:?}");
        }
        assert_eq!(error(b"{\"code\":14}"), "event: error\ndata: {\"code\":14}\n\n");
        let mut request = DynamicMessage::new(method.input());
        resume(&mut request, None);
        resume(&mut request, Some(&HeaderValue::from_static("")));
        assert_eq!(request, DynamicMessage::new(method.input()));
        resume(&mut request, Some(&HeaderValue::from_static("abc")));
        let token = request.get_field_by_name(RESUME_TOKEN).unwrap();
        assert_eq!(token.as_str(), Some("abc"));
        // A message without the field is left alone.
        let mut answer = DynamicMessage::new(method.input().parent_pool().get_message_by_name("test.Inner").unwrap());
        resume(&mut answer, Some(&HeaderValue::from_static("abc")));
        assert_eq!(answer.encoded_len(), 0);
    }
}
