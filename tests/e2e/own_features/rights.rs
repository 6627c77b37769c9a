//! Rights on own features: by level as for the feature service, on definitions, and on what is for servers only.

use serde_json::json;
use tonic::Code::{FailedPrecondition, InvalidArgument, NotFound, PermissionDenied};

use super::*;
use crate::support::harness::Server;
use crate::support::raw::{Raw, refusal};
use crate::wire::tell;

/// What a role may do: read, write and reset the settings of the system, the instance, the organization acme and the
/// user ann; read and write definitions of the system and of the instance.
#[tokio::test(flavor = "multi_thread")]
async fn roles_may_do_what_the_table_says() {
    #[rustfmt::skip]
    let table = [
        // credential                                              system  instance  acme   ann    definitions
        //                                                                                         system instance
        ("--instance demo",                                        ["r",   "r",      "",    "",    "",    ""]),
        ("--instance demo --organization acme --user ann",         ["r",   "r",      "r",   "r",   "",    ""]),
        ("--role SYSTEM_OWNER --instance demo",                    ["rwd", "rwd",    "rwd", "rwd", "rw",  "rw"]),
        ("--role SYSTEM_OWNER_VIEWER --instance demo",             ["r",   "r",      "r",   "r",   "r",   "r"]),
        ("--role IAM_OWNER --instance demo",                       ["r",   "rwd",    "rwd", "rwd", "r",   "rw"]),
        ("--role IAM_OWNER_VIEWER --instance demo",                ["r",   "r",      "r",   "r",   "r",   "r"]),
        ("--role IAM_USER_MANAGER --instance demo",                ["r",   "r",      "",    "rwd", "r",   "r"]),
        ("--role ORG_OWNER --instance demo --organization acme",   ["r",   "r",      "rwd", "rwd", "r",   "r"]),
        ("--role ORG_OWNER --instance demo --organization other",  ["r",   "r",      "",    "",    "r",   "r"]),
        ("--role IAM_OWNER --instance other",                      ["r",   "",       "",    "",    "r",   ""]),
    ];
    let server = Server::new();
    let raw = Raw::new(&server).await;
    let owner = server.token("--role IAM_OWNER --instance demo");
    let ann = change("users/ann", json!({"set": {"actions": true}}));
    raw.call(UPDATE, ann, &[&owner, "x-zitadel-orgid = acme"]).await.unwrap();
    let names = [
        "system/settings",
        "instances/demo/settings",
        "instances/demo/organizations/acme/settings",
        "instances/demo/users/ann/settings",
    ];
    for (credential, cells) in table {
        let token = server.token(credential);
        let may = async |method: &str, request: Json| match raw.call(method, request, &[&token]).await {
            Err(refused) => refused.code != PermissionDenied,
            Ok(_) => true,
        };
        for (name, cell) in names.into_iter().zip(cells) {
            let validate = |mut request: Json| {
                request["name"] = name.into();
                request["validateOnly"] = true.into();
                request
            };
            let reads = may(GET, json!({"name": name, "inheritance": true})).await;
            assert_eq!(reads, cell.contains('r'), "{credential} reads {name}");
            assert_eq!(may(EXPLAIN, json!({"name": name, "feature": "actions"})).await, reads, "{credential} {name}");
            assert_eq!(may(BATCH_GET, json!({"names": [name]})).await, reads, "{credential} {name}");
            let writes = may(UPDATE, validate(json!({"set": {"actions": true}}))).await;
            assert_eq!(writes, cell.contains('w'), "{credential} writes {name}");
            let batch = json!({"requests": [{"name": name, "set": {"actions": true}}], "validateOnly": true});
            assert_eq!(may(BATCH_UPDATE, batch).await, writes, "{credential} writes {name} in a batch");
            assert_eq!(may(RESET, validate(json!({}))).await, cell.contains('d'), "{credential} resets {name}");
        }
        for (parent, cell) in ["", "instances/demo"].into_iter().zip(&cells[4..]) {
            let create = json!({"parent": parent, "featureDefinitionId": "x", "featureDefinition": boolean(),
                "validateOnly": true});
            let name = if parent.is_empty() { "features/x".to_owned() } else { format!("{parent}/features/x") };
            assert_eq!(may(LIST, json!({"parent": parent})).await, cell.contains('r'), "{credential} {parent:?}");
            assert_eq!(may(GET_DEFINITION, json!({"name": name})).await, cell.contains('r'), "{credential} {name}");
            assert_eq!(may(CREATE, create).await, cell.contains('w'), "{credential} defines in {parent:?}");
            for verb in ["Deprecate", "Undeprecate", "Archive", "Unarchive"] {
                assert_eq!(may(&state(verb), json!({"name": name})).await, cell.contains('w'), "{credential} {verb}");
            }
            let update = json!({"featureDefinition": {"name": name, "owner": "x"}});
            assert_eq!(may(UPDATE_DEFINITION, update).await, cell.contains('w'), "{credential} updates {name}");
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_servers_only_is_hidden_from_those_without_a_role() {
    let server = Server::new();
    let owner = server.token("--role IAM_OWNER --instance demo");
    let ann = server.token("--instance demo --organization acme --user ann");
    let of_acme = server.token("--role ORG_OWNER --instance demo --organization acme");
    let login = server.token("--role IAM_LOGIN_CLIENT --instance demo");
    let (iam, ann, of_acme, login): (&[&str], &[&str], &[&str], &[&str]) = (&[&owner], &[&ann], &[&of_acme], &[&login]);
    let secret = json!({"valueType": "VALUE_TYPE_BOOLEAN", "defaultValue": true});
    let hidden = || Err(refusal(NotFound, "FEATURE_UNKNOWN", &[]));
    let shown = || Ok(json!({"values": {"secret": value(true, "DEFAULT")}}));
    tell(
        &server,
        &[
            (iam, CREATE, define("secret", secret), Ok(json!({"visibility": "VISIBILITY_SERVER_ONLY"}))),
            (iam, CREATE, define("open", boolean()), Ok(json!({}))),
            (ann, GET, inherited("users/ann", &["secret"]), hidden()),
            (ann, GET, inherited("organizations/acme", &["secret"]), hidden()),
            (ann, GET, inherited("", &["secret"]), hidden()),
            (
                ann,
                GET,
                inherited("users/ann", &[]),
                Ok(json!({"values": {"secret": null, "open": value(false, "DEFAULT")}})),
            ),
            (ann, EXPLAIN, json!({"name": settings("users/ann"), "feature": "secret"}), hidden()),
            (of_acme, GET, inherited("organizations/acme", &["secret"]), shown()),
            (of_acme, GET, inherited("", &["secret"]), hidden()),
            (login, GET, inherited("users/ann", &["secret"]), shown()),
            (iam, GET, inherited("", &["secret"]), shown()),
        ],
    )
    .await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_says_the_instance_and_contradicts_nothing() {
    let server = Server::new();
    let system = server.token("--role SYSTEM_OWNER");
    let demo = server.token("--role IAM_OWNER --instance demo");
    let named = |instance: &str| json!({"name": format!("instances/{instance}/settings")});
    tell(
        &server,
        &[
            (&[&system], GET, named("other"), Ok(json!({"name": "instances/other/settings"}))),
            (&[&system], GET, named("current"), Err(refusal(FailedPrecondition, "INSTANCE_UNKNOWN", &[]))),
            (
                &[&system, "x-zitadel-instance-id = demo"],
                GET,
                named("current"),
                Ok(json!({"name": "instances/demo/settings"})),
            ),
            (
                &[&system, "x-zitadel-instance-id = demo"],
                GET,
                named("other"),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["x-zitadel-instance-id"])),
            ),
            (&[&demo], GET, named("demo"), Ok(json!({}))),
            (&[&demo], GET, named("other"), Err(refusal(PermissionDenied, "PERMISSION_MISSING", &["authenticated"]))),
            (
                &[&demo],
                GET,
                json!({"name": "instances/demo"}),
                Err(refusal(InvalidArgument, "FIELD_INVALID", &["name"])),
            ),
            (&[&demo], GET, json!({}), Err(refusal(InvalidArgument, "FIELD_INVALID", &["name"]))),
            (
                &[&demo],
                UPDATE,
                json!({"name": "instances/demo/users/a%2Fb%25/settings", "set": {"actions": true}}),
                Ok(json!({"settings": {"name": "instances/demo/users/a%2Fb%25/settings"}})),
            ),
            (&[&demo], "GetUserFeatures", json!({"userId": "a/b%"}), Ok(json!({"actions": {"enabled": true}}))),
        ],
    )
    .await;
    server.stop();
}
