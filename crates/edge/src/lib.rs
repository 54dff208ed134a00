//! Tidegate Edge: the runtime daemon of a gateway. One process is agent, hub and security daemon in one.
//!
//! | Module | Is |
//! | --- | --- |
//! | [`config`] | `config.toml`, checked |
//! | [`identity`] | who this device is; keys, certificates, module identities, provisioning |
//! | [`lifecycle`] | deployment → plan → execute → report, with [`runtime`] running the modules |
//! | [`hub`] | sessions of modules and downstream devices, routes, store-and-forward, twins and methods |
//! | [`workload`], [`management`] | the APIs on unix sockets |
//! | [`metrics`] | what hub and agent count, for Prometheus |
//! | [`state`] | the envelope of the small files everything above keeps |
//! | [`daemon`] | puts it all together |
//! | [`check`], [`cli`] | what an operator uses |
//!
//! It refuses to know what a message means, and never talks to Central other than over the wire any hub speaks.

mod check;
pub mod cli;
mod config;
mod daemon;
mod hub;
mod identity;
mod lifecycle;
pub mod limits;
mod log_time;
mod management;
mod metrics;
mod retry_wait;
mod runtime;
mod state;
mod twin_link;
mod unix_http;
mod workload;

#[cfg(feature = "testing")]
pub use hub::testing;

/// Runs futures side by side on this task and waits for all. Each is polled first in the order given, which
/// `first_polls_keep_the_order` holds: messages of one sender are handed on that way, and those for an input by
/// `FuturesOrdered`.
pub(crate) use futures_util::future::join_all;

/// Waits until then; for ever without a time.
pub(crate) async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::stream::{FuturesOrdered, StreamExt as _};

    #[tokio::test]
    async fn first_polls_keep_the_order() {
        let begun = RefCell::new(Vec::new());
        let futures = || {
            (0..1000).map(|number| {
                let begun = &begun;
                async move {
                    begun.borrow_mut().push(number);
                    tokio::task::yield_now().await;
                    number
                }
            })
        };
        let expected: Vec<_> = (0..1000).collect();
        assert_eq!(super::join_all(futures()).await, expected);
        assert_eq!(begun.take(), expected);
        assert_eq!(futures().collect::<FuturesOrdered<_>>().collect::<Vec<_>>().await, expected);
        assert_eq!(begun.take(), expected);
    }
}
