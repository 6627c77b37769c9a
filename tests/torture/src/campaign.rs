//! The campaigns on a data folder, each in a module of its own. The attacks on the listener are in `attack`.

pub mod damage;
pub mod full;
pub mod io;
pub mod kill;
pub mod power;
pub mod projection;
