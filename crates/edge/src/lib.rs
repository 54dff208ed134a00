//! Tidegate Edge: the runtime daemon of a gateway. One process is agent, hub and security daemon in one.
//!
//! | Module | Is |
//! | --- | --- |
//! | [`config`] | `config.toml`, checked |
//! | [`identity`] | who this device is; keys, certificates, module identities, provisioning |
//! | [`lifecycle`] | deployment → plan → execute → report, with [`runtime`] running the modules |
//! | [`hub`] | sessions of modules and downstream devices, routes, store-and-forward, twins and methods |
//! | [`workload`], [`management`] | the APIs on unix sockets |
//! | [`state`] | the envelope of the small files everything above keeps |
//! | [`daemon`] | puts it all together |
//! | [`check`], [`cli`] | what an operator uses |
//!
//! It refuses to know what a message means, and never talks to Central other than over the wire any hub speaks.

pub mod check;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod hub;
pub mod identity;
pub mod lifecycle;
pub mod limits;
mod log_time;
pub mod management;
pub mod runtime;
pub mod state;
mod twin_link;
pub mod unix_http;
pub mod workload;

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

/// An error with its causes, in one line.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Runs futures side by side on this task and waits for all. They are polled in the order given, so what each does first
/// happens in that order.
pub(crate) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Option<Pin<Box<F>>>> = futures.into_iter().map(|future| Some(Box::pin(future))).collect();
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (slot, output) in running.iter_mut().zip(&mut outputs) {
            let Some(future) = slot else { continue };
            match future.as_mut().poll(context) {
                Poll::Ready(value) => {
                    *output = Some(value);
                    *slot = None;
                }
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
