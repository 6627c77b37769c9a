//! Users who may not make or use the tables: the error has the statement that helps.

use super::cluster::{Cluster, open, options};
use crate::PostgresOpenError;
use crate::engine::{Append, Engine};
use crate::tests::fixtures::history;

#[test]
fn a_missing_right_is_named_with_the_statement_that_gives_it() {
    let cluster = Cluster::start();
    cluster.execute("postgres", "CREATE ROLE \"the \"\"user\" LOGIN");
    // what an administrator has made | a part of the error | of the statement
    let table = [
        ("", "permission denied for database", "GRANT CREATE ON DATABASE"),
        ("CREATE SCHEMA feature_service", "permission denied for schema", "GRANT USAGE, CREATE ON SCHEMA"),
        ("the tables", "permission denied for schema", "GRANT USAGE ON SCHEMA feature_service TO"),
    ];
    for (made, part, statement) in table {
        let database = cluster.database();
        match made {
            "the tables" => drop(cluster.engine(&database)),
            made => cluster.execute(&database, made),
        }
        let options = options(&format!("postgres://the%20%22user@{}/{database}", cluster.host()));
        let error = open(&options).err().unwrap();
        let text = error.to_string();
        assert!(text.contains(part) && text.contains("let an administrator of the database run"), "{text}");
        let PostgresOpenError::MissingRight { grant, .. } = error else { panic!("{text}") };
        assert!(grant.starts_with(statement), "{grant}");
        cluster.execute(&database, &grant);
        let engine = open(&options).expect(&grant);
        let base = engine.head().unwrap().end;
        let group = base.entries(history([1]).iter());
        assert_eq!(engine.append(base, &group).unwrap(), Append::Added, "{grant}");
        engine.fold(0, group[0].position, &[]).unwrap();
        engine.drop_entries(1).unwrap();
        open(&options).expect("it is all there");
    }
}
