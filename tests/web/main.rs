//! What people and programs reach by HTTP: the console, the API, links in messages, hooks of others.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod browser;
mod console;
mod hooks;
mod links;
mod oidc;
mod openapi;
mod proxy;
mod replies;
mod team;
mod tls;
mod tokens;
mod workshop;
