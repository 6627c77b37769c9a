//! The data folder: permissions, starts on it, restarts, and commands.

mod folder;
mod permissions;
mod restart;
mod tools;
