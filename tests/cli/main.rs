//! The built program, as people and scripts meet it: what it prints and its exit codes.

#![cfg(test)]

mod backtest;
mod backup;
mod check;
mod conditions;
mod daemon;
mod explain;
mod fmt;
mod help;
mod import;
mod init;
mod keyed;
mod learn;
mod memory;
mod oncall;
mod reference;
mod replay;
mod report;
mod support;
mod tune;
mod volume;
