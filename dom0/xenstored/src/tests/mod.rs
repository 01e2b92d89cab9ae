//! The daemon as its clients meet it: over ring pages and pipes, message by message.

mod bed;
mod connections;
mod domains;
mod hostile;
mod model;
mod nodes;
mod quotas;
mod transactions;
mod watches;
