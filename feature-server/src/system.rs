//! What the operating system gives this process: memory and open files.

pub mod memory;
pub mod open_files;
