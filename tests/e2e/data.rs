//! The data folder: permissions, starts on it, restarts, and commands.

mod folder;
mod fresh_reads;
mod permissions;
mod restart;
mod tools;
