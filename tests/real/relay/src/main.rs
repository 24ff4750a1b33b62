//! A relay in memory at a port of loopback, that lets nobody read or write who does not say who they are (NIP-42).

use nostr_relay_builder::prelude::*;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).ok_or("a port")?.parse()?;
    let who = RelayBuilderNip42 { mode: RelayBuilderNip42Mode::Both };
    let relay = LocalRelay::new(RelayBuilder::default().port(port).nip42(who));
    relay.run().await?;
    println!("{}", relay.url().await);
    std::future::pending().await
}
