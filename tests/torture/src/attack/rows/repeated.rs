//! Repeats one call many times: all calls together must not stop the server, however expensive each of them is.
//!
//! Each kind of call makes an attack for each protocol that it supports and each number of connections.

use std::sync::LazyLock;

use super::bodies;
use super::calls::WATCH;
use super::floods::CHECK;
use super::readers::REFLECTION;
use super::resets::GET;
use crate::attack::attacker::Attack;
use crate::attack::request::{Body, Protocol, Request};

/// A kind of call, and how the attacker makes it.
struct Kind {
    name: &'static str,
    /// The number of calls in a second, over all connections.
    per_second: u32,
    caller: Caller,
    method: &'static str,
    body: Body,
    protocols: &'static [Protocol],
    /// The numbers of connections in the short form.
    short: &'static [u32],
}

/// The arguments of `token` for the caller; `None` for a caller without a token.
type Caller = Option<&'static str>;
const STRANGER: Caller = None;
const NO_ROLE: Caller = Some("--instance demo --user mallory");
/// The weakest role that may call a Set.
const OWNER: Caller = Some("--role ORG_OWNER --instance demo --organization mallory --user mallory");

const SET: &str = "/zitadel.feature.v2.FeatureService/SetOrganizationFeatures";
const UPDATE: &str = "/feature.v1.SettingsService/UpdateSettings";
const NONE: &str = "/nothing";

const GRPC: &[Protocol] = &[Protocol::Grpc];
const PROTOBUF: &[Protocol] = &[Protocol::Grpc, Protocol::GrpcWeb, Protocol::Connect];
const JSON: &[Protocol] = &[Protocol::ConnectJson, Protocol::Http("REST", "PUT", "/v2/features/organization/mallory")];
const JSON_OF_OTHER: &[Protocol] =
    &[Protocol::ConnectJson, Protocol::Http("REST", "PUT", "/v2/features/organization/acme")];
const JSON_OF_SETTINGS: &[Protocol] =
    &[Protocol::Http("REST", "PATCH", "/v1/instances/demo/organizations/mallory/settings")];
const JSON_CALL: &[Protocol] = &[Protocol::ConnectJson];
const JSON_STREAM: &[Protocol] = &[Protocol::ConnectJsonStream];
const STREAMS: &[Protocol] = &[Protocol::Grpc, Protocol::ConnectStream];
const PAGES: &[Protocol] = &[Protocol::Http("HTTP GET", "GET", NONE), Protocol::Http("HTTP HEAD", "HEAD", NONE)];
const READS: &[Protocol] = &[Protocol::Http("REST", "GET", "/v2/features/instance?inheritance=true")];

/// The numbers of connections in the long form.
const CONNECTIONS: [u32; 4] = [1, 16, 64, 128];
const MANY: &[u32] = &[64];
/// The numbers for the kinds that cost the server most.
const EACH: &[u32] = &[1, 128];

/// About 50 KiB/s, since a call of 1 MiB compresses to 1 KiB.
const RATE: u32 = 50;

#[rustfmt::skip]
const KINDS: [Kind; 24] = [
    // name, calls a second, caller, method, body, protocols, connections in the short form
    kind("JSON lists to health", RATE, STRANGER, CHECK, bodies::json_unknown_list, JSON_CALL, EACH),
    kind("JSON lists to health", RATE, STRANGER, WATCH, bodies::json_unknown_list, JSON_STREAM, EACH),
    kind("JSON lists to reflection", RATE, STRANGER, REFLECTION, bodies::json_unknown_list, JSON_STREAM, MANY),
    kind("unknown fields to health", RATE, STRANGER, CHECK, bodies::unknown_fields, PROTOBUF, MANY),
    kind("malformed messages to health", 500, STRANGER, CHECK, bodies::malformed, PROTOBUF, MANY),
    kind("malformed messages to health Watch", 500, STRANGER, WATCH, bodies::malformed, STREAMS, MANY),
    kind("malformed messages to reflection", 500, STRANGER, REFLECTION, bodies::malformed, STREAMS, MANY),
    kind("unknown fields of a Get", RATE, NO_ROLE, GET, bodies::unknown_fields, PROTOBUF, EACH),
    kind("long lists", RATE, OWNER, SET, bodies::list_of_own, PROTOBUF, EACH),
    kind("long lists", RATE, OWNER, SET, bodies::json_list_of_own, JSON, EACH),
    kind("long lists without the right", RATE, OWNER, SET, bodies::list_of_other, PROTOBUF, MANY),
    kind("long lists without the right", RATE, OWNER, SET, bodies::json_list_of_other, JSON_OF_OTHER, MANY),
    kind("long masks", RATE, OWNER, SET, bodies::mask, PROTOBUF, EACH),
    kind("long masks", RATE, OWNER, SET, bodies::json_mask, JSON, EACH),
    kind("long lists of keys", RATE, OWNER, UPDATE, bodies::unset, GRPC, MANY),
    kind("long lists of keys", RATE, OWNER, UPDATE, bodies::json_unset, JSON_OF_SETTINGS, MANY),
    kind("unknown keys of features", RATE, OWNER, UPDATE, bodies::unset_allowed, GRPC, MANY),
    kind("JSON lists in a Set", RATE, OWNER, SET, bodies::json_unknown_list, JSON, MANY),
    kind("unknown keys", RATE, OWNER, SET, bodies::json_unknown_keys, JSON, MANY),
    kind("escapes", RATE, OWNER, SET, bodies::json_escapes, JSON, MANY),
    kind("nested objects", RATE, OWNER, SET, bodies::json_nested, JSON, MANY),
    kind("unknown paths", 5_000, STRANGER, NONE, bodies::empty, PAGES, MANY),
    kind("masses of Gets", 6_000, NO_ROLE, GET, bodies::inheritance, &[Protocol::Grpc], MANY),
    kind("masses of Gets", 6_000, NO_ROLE, GET, bodies::empty, READS, MANY),
];

const fn kind(
    name: &'static str,
    per_second: u32,
    caller: Caller,
    method: &'static str,
    body: Body,
    protocols: &'static [Protocol],
    short: &'static [u32],
) -> Kind {
    Kind { name, per_second, caller, method, body, protocols, short }
}

/// Each kind in each of its protocols over each number of connections.
pub static ATTACKS: LazyLock<Vec<Attack>> = LazyLock::new(|| KINDS.iter().flat_map(Kind::attacks).collect());

impl Kind {
    fn attacks(&self) -> impl Iterator<Item = Attack> {
        self.protocols.iter().flat_map(move |&protocol| {
            CONNECTIONS.into_iter().map(move |connections| self.attack(protocol, connections))
        })
    }

    fn attack(&self, protocol: Protocol, connections: u32) -> Attack {
        let number = if connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") };
        let name = format!("{} in {}, {number}", self.name, protocol.name());
        let Self { method, body, caller, .. } = *self;
        let request = Request { protocol, method, body, with_token: caller.is_some() };
        let attack = Attack::calls(name.leak(), self.per_second, connections, request);
        Attack { caller: caller.unwrap_or(attack.caller), in_short: self.short.contains(&connections), ..attack }
    }
}
