//! The instance that a call is for, and the organization that a user belongs to.

use serde_json::json;
use tonic::Code::PermissionDenied;

use crate::support::harness::{Folder, Server};
use crate::support::raw::refusal;
use crate::wire::{details, on, tell};

#[tokio::test(flavor = "multi_thread")]
async fn the_instance_comes_from_the_token_the_metadata_the_host_or_the_default() {
    let config = "[instances]\ndefault = \"fallback\"\n[instances.hosts]\n\"a.example\" = \"alpha\"\n";
    let server = Folder::new(config).serve();
    let (bound, free) = (server.token("--role IAM_OWNER --instance demo"), server.token("--role SYSTEM_OWNER"));
    let owner = |owner: &str| Ok(json!({"details": {"resourceOwner": owner}}));
    let get = |caller| (caller, "GetInstanceFeatures", json!({"inheritance": true}));
    let table: [(&[&str], &str); 6] = [
        (&[&bound], "demo"),
        (&[&bound, "x-zitadel-instance-host = a.example"], "demo"),
        (&[&free, "x-zitadel-instance-id = named"], "named"),
        (&[&free, "x-zitadel-instance-id = named", "x-zitadel-instance-host = a.example"], "named"),
        (&[&free, "x-zitadel-instance-host = A.example:443"], "alpha"),
        (&[&free], "fallback"),
    ];
    for (caller, instance) in table {
        let (caller, method, request) = get(caller);
        tell(&server, &[(caller, method, request, owner(instance))]).await;
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_belongs_to_one_organization() {
    let server = Server::new();
    let iam = server.token("--role IAM_OWNER --instance demo");
    let acme = server.token("--role ORG_OWNER --instance demo --organization acme");
    let other = server.token("--role ORG_OWNER --instance demo --organization other");
    let ann = server.token("--instance demo --organization acme --user ann");
    let (iam, in_other): (&[&str], &[&str]) = (&[&iam], &[&iam, "x-zitadel-orgid = other"]);
    let (acme, other, ann): (&[&str], &[&str], &[&str]) = (&[&acme], &[&other], &[&ann]);
    let set = |on: bool| json!({"userId": "ann", "actions": on});
    let get = || json!({"userId": "ann", "inheritance": true});
    let denied = |permission: &str| Err(refusal(PermissionDenied, "PERMISSION_MISSING", &[permission]));
    let reset = "ResetUserFeatures";
    tell(
        &server,
        &[
            (iam, "SetOrganizationFeatures", json!({"organizationId": "acme", "webKey": true}), Ok(details(1, "demo"))),
            (
                other,
                "SetOrganizationFeatures",
                json!({"organizationId": "acme", "webKey": true}),
                denied("org.feature.write"),
            ),
            (
                other,
                "SetOrganizationFeatures",
                json!({"organizationId": "other", "userSchema": true}),
                Ok(details(1, "demo")),
            ),
            // The first write records the user under the organization of the writer.
            (acme, "SetUserFeatures", set(true), Ok(details(1, "acme"))),
            (other, "SetUserFeatures", set(false), denied("user.feature.write")),
            (other, reset, json!({"userId": "ann"}), denied("user.feature.delete")),
            (other, "GetUserFeatures", get(), denied("user.feature.read")),
            (acme, "GetUserFeatures", get(), Ok(json!({"actions": on("USER"), "webKey": on("ORGANIZATION")}))),
            (ann, "GetUserFeatures", get(), Ok(json!({"actions": on("USER"), "webKey": on("ORGANIZATION")}))),
            (ann, "GetUserFeatures", json!({"userId": "bob", "inheritance": true}), denied("user.feature.read")),
            (ann, "SetUserFeatures", set(false), denied("user.feature.write")),
            (
                ann,
                "GetOrganizationFeatures",
                json!({"organizationId": "acme"}),
                Ok(json!({"webKey": on("ORGANIZATION")})),
            ),
            (ann, "GetOrganizationFeatures", json!({"organizationId": "other"}), denied("org.feature.read")),
            // A caller with rights on the whole instance moves the user by naming the organization.
            (iam, "SetUserFeatures", set(false), Ok(details(2, "acme"))),
            (in_other, "SetUserFeatures", set(true), Ok(details(3, "other"))),
            (acme, "SetUserFeatures", set(false), denied("user.feature.write")),
            (acme, "GetUserFeatures", get(), denied("user.feature.read")),
            // This token names acme and is older than the move, so the answer shows acme's settings only.
            (ann, "GetUserFeatures", get(), Ok(json!({"webKey": on("ORGANIZATION"), "userSchema": {"source": null}}))),
            (ann, "GetUserFeatures", get(), Ok(details(3, "acme"))),
            (
                other,
                "GetUserFeatures",
                get(),
                Ok(json!({"actions": on("USER"), "userSchema": on("ORGANIZATION"), "webKey": {"source": null}})),
            ),
        ],
    )
    .await;
    server.stop();
}
