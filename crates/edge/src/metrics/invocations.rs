//! `edgeagent_direct_method_invocations_count`: the one name that begins with a small `a` in the original, and the one counter
//! that does not end with `_total`. The format of our library cannot say the latter, so its type is left open.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// Calls of the agent's direct methods that there are; what is called and is not there is nobody's name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Invocations(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Invocations {
    pub(super) fn count(&self, method: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(method).or_default() += 1;
    }
}

impl Collector for Invocations {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if counts.is_empty() {
            return Ok(());
        }
        let (name, help) = ("edgeagent_direct_method_invocations_count", "Calls of the agent's own direct methods");
        let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Unknown)?;
        for (method, count) in counts {
            ConstGauge::new(count).encode(encoder.encode_family(&[("method_name", method)])?)?;
        }
        Ok(())
    }
}
