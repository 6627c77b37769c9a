//! The examples at the end of each command's help.

pub(super) const SERVE: &str = "\
Examples:
  feature-server
  feature-server --listen 127.0.0.1:0 --data /var/lib/feature-server
  feature-server serve --config /etc/feature-server.toml
  feature-server --store postgres://feature@db1.example.com,db2.example.com/feature
  FEATURE_SERVER__LOG__FILTER=debug feature-server

Every key of the configuration is explained in feature-server.toml.
Exit codes: 0 stopped as asked, 64 bad usage or configuration, 1 anything else.";

pub(super) const TOKEN: &str = "\
Examples:
  feature-server token --role IAM_OWNER --instance demo
  feature-server token --role ORG_OWNER,ORG_USER_MANAGER --instance demo --organization acme --ttl 15m
  feature-server token --instance demo --user alice
  TOKEN=$(feature-server token --role SYSTEM_OWNER)

The token alone is printed. It is signed with the newest key in the data folder.";

pub(super) const KEYGEN: &str = "\
Examples:
  feature-server token keygen
  feature-server token keygen --data /var/lib/feature-server";

pub(super) const KEYS: &str = "\
Examples:
  feature-server token keys
  feature-server token keys --data /var/lib/feature-server

To retire a key, remove its file: within 10 seconds its tokens are refused.";

pub(super) const CONFIG: &str = "\
Examples:
  feature-server config
  feature-server config --config /etc/feature-server.toml
  FEATURE_SERVER__LIMITS__CALLS=100 feature-server config --listen 127.0.0.1:0";

pub(super) const PROBE: &str = "\
Examples:
  feature-server probe
  feature-server probe --config /etc/feature-server.toml
  feature-server probe --address 127.0.0.1:8080

It prints what /readyz answers, and waits five seconds at most.
Exit codes: 0 ready, 64 bad usage or configuration, 1 not ready, or no answer.";

pub(super) const BACKUP: &str = "\
Examples:
  feature-server backup /var/backups/features/monday
  feature-server backup --without-keys \"/var/backups/features/$(date +%F)\" --data /var/lib/feature-server

The server may run. Every write that it has acknowledged before is in the copy, which is checked before it counts.
To restore, copy the backup to where the data folder was: see docs/operations.md.
Exit codes: 0 done, 65 the data folder is damaged, 64 bad usage, 1 anything else.";

pub(super) const VERIFY: &str = "\
Examples:
  feature-server verify
  feature-server verify /var/backups/features/monday

The server must be stopped; while it runs, make a backup, which is verified. Nothing is changed. A copy of the
projection is put into the folder that TMPDIR names, and removed again.
Exit codes: 0 in order, 65 something is damaged, 64 bad usage, 1 anything else, so that nothing is known.";

pub(super) const EXPORT: &str = "\
Examples:
  feature-server export --output features.jsonl
  feature-server export --data /var/backups/features/monday | sha256sum
  feature-server export | jq -c 'select(.scope.user == \"ann\")'
  feature-server export --store postgres://feature@db1.example.com/feature --output features.jsonl

The server must be stopped; while it runs, export a backup. Those of a fleet may run. The same history gives the same bytes.
The keys are not in it. docs/export-format.md describes the lines.
Exit codes: 0 whole, 65 the data folder is damaged, 64 bad usage, 1 anything else.";

pub(super) const IMPORT: &str = "\
Examples:
  feature-server import features.jsonl
  feature-server import features.jsonl --data /var/lib/feature-server
  feature-server import features.jsonl --store postgres://feature@db1.example.com/feature

The data folder must be missing or empty, but for keys. The whole history is taken over, with the id of the store.
When a line is wrong, nothing is imported. A database must be empty, and no server may use it; an import that was
interrupted goes on when it is run again. It first checks the file in a folder that TMPDIR names.
Exit codes: 0 imported, 65 the file is damaged or not an export, 64 bad usage, 1 anything else.";

pub(super) const REVOKE: &str = "\
Examples:
  feature-server revoke --store postgres://feature@db1.example.com/feature 'jti 0b7c62be-4b0c-4f43-9d39-3f1c2b9d6f10'
  feature-server revoke 'subject ann before 1800000000' --config /etc/feature-server.toml

Every server of the fleet refuses such tokens within 2 seconds. docs/access.md describes the entries. Without a database
the list is the file that auth.revocation_file names.
Exit codes: 0 revoked, 64 bad usage, 1 anything else.";
