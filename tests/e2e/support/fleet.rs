//! Servers that share a database and their keys.

use std::fs;

use crate::support::harness::{Folder, Server};
use crate::support::postgres::{self, Database};

/// What the servers of a fleet share.
pub struct Fleet {
    database: Database,
    /// Its data folder holds the keys, and nothing else.
    keys: Folder,
}

impl Fleet {
    /// A fleet on an empty database.
    pub fn new() -> Self {
        Self::on(postgres::database())
    }

    /// A fleet on this database.
    pub fn on(database: Database) -> Self {
        let keys = Folder::embedded("");
        assert!(keys.run("token keygen").status.success(), "a key is made");
        Self { database, keys }
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The empty folder of a further server, with this configuration and the keys.
    pub fn folder(&self, config: &str) -> Folder {
        let folder = Folder::on(self.database.clone(), config);
        let [from, to] = [&self.keys, &folder].map(|folder| folder.data().join("keys"));
        fs::create_dir_all(&to).expect("a temporary folder is writable");
        for entry in fs::read_dir(from).expect("the keys are there") {
            let entry = entry.expect("the folder can be read");
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a key is copied");
        }
        folder
    }

    /// A further server.
    pub fn serve(&self) -> Server {
        self.folder("").serve()
    }
}
