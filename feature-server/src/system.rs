//! Memory and open files of this process.

pub mod memory;
pub mod open_files;
