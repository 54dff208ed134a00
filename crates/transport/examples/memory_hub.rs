//! A hub and provisioning service in memory, to try device SDKs against: it prints what arrives, sends a desired patch and
//! invokes the method `ping` once a client is subscribed to everything.
//!
//! ```text
//! cargo run -p tidegate-transport --example memory_hub -- <host name> <port> <file for the root certificate> [devices]
//! ```
//!
//! Every device and module signs with `Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=`; ids are `dev1`, `dev2`, … and
//! `dev1/mod1`, the hub's name is `hub.example.test`, the id scope `0ne00000001`.
#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use model::identity::Identity;
use testkit::authority::TestAuthority;
use testkit::memory_hub::MemoryHub;
use testkit::message::json_message;
use tokio_util::sync::CancellationToken;
use transport::server::{HubServer, ServerLimits};

const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: memory_hub <host name> <port> <file for the root certificate>";
    let (name, port, root_file) = (arguments.next(), arguments.next(), arguments.next());
    let (name, port, root_file) = (name.ok_or(usage)?, port.ok_or(usage)?.parse::<u16>()?, root_file.ok_or(usage)?);
    let authority = TestAuthority::default();
    std::fs::write(root_file, authority.root_pem())?;
    let hub = Arc::new(MemoryHub::default());
    let identities = [Identity::device("dev1"), Identity::module("dev1", "mod1")];
    identities.iter().for_each(|identity| hub.add_key(identity, KEY));
    let devices: usize = arguments.next().unwrap_or_default().parse().unwrap_or(1);
    (2..=devices).for_each(|number| hub.add_key(&Identity::device(&format!("dev{number}")), KEY));
    let tls = authority.server_named(&[&name]);
    let server = HubServer::bind(([0, 0, 0, 0], port).into(), tls, hub.clone(), ServerLimits::default()).await?;
    let server = server.with_provisioning(hub.clone());
    println!("listening on {}", server.local_addr());
    tokio::spawn(server.serve(CancellationToken::new()));
    let mut printed = 0;
    let mut greeted = [false; 2];
    let mut seen = hub.counts();
    loop {
        seen = hub.wait_until(|counts| *counts != seen).await;
        println!("{seen:?}");
        for (identity, message) in hub.telemetry().iter().skip(printed) {
            printed += 1;
            println!("{identity}: {:?} {:?}", message.bag, message.body);
        }
        for (identity, greeted) in identities.iter().zip(&mut greeted) {
            let Some(link) = hub.link(identity) else {
                *greeted = false;
                continue;
            };
            let subscriptions = link.subscriptions();
            let complete = subscriptions.methods && subscriptions.desired;
            if complete && !*greeted && (subscriptions.inputs || identity.module_id().is_none()) {
                *greeted = true;
                tokio::spawn(greet(link));
            }
        }
    }
}

async fn greet(link: transport::server::SessionLink) {
    let patched = link.desired_patch(2, "{\"speed\":5,\"$version\":2}".into()).await;
    println!("desired patch: {patched:?}");
    let answer = link.invoke_method("ping", "{\"in\":1}".into(), Duration::from_secs(20)).await;
    println!("method: {answer:?}");
    if link.subscriptions().inputs {
        let delivered = link.deliver_input("in1", &json_message("{\"hello\":1}")).await;
        println!("input: {delivered:?}");
    }
}
