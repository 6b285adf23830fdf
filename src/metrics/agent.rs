//! The agent's metrics about itself, kept by the `prometheus` crate in a registry of their own.
//!
//! Nothing about probes: their series would be too many for a registry.

use prometheus::core::Collector;
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Gauge, Histogram, HistogramOpts, IntGauge, Opts, Registry};

use super::format::{Format, Type, bound, label, sample};

/// The agent's own metrics.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    registry: Registry,
    /// Seconds from when an attempt was due to when it started.
    pub(super) lag: Histogram,
    /// Seconds from when a job was to be asked about to when it was.
    pub(super) poll_lag: Histogram,
    /// Probes loaded.
    pub(super) probes: IntGauge,
    /// 1 when the last configuration that was read is the one running.
    pub(super) reload_successful: IntGauge,
    /// Unix time of the last configuration that was taken.
    pub(super) reload_success: Gauge,
}

impl Agent {
    /// Zeroed metrics; `build` are the labels of `forewarn_build_info`.
    pub(super) fn new(build: &[(&str, &str)]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let info = Opts::new("forewarn_build_info", "Which build of Forewarn runs; always 1.")
            .const_labels(build.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        register(&registry, IntGauge::with_opts(info)?)?.set(1);
        let lag =
            HistogramOpts::new("forewarn_schedule_lag_seconds", "How much later than scheduled attempts started.");
        let poll_lag = HistogramOpts::new(
            "forewarn_job_poll_lag_seconds",
            "How much later than planned outstanding jobs were asked about.",
        );
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self {
            lag: register(&registry, Histogram::with_opts(lag.buckets(LAG_BUCKETS.to_vec()))?)?,
            poll_lag: register(&registry, Histogram::with_opts(poll_lag.buckets(LAG_BUCKETS.to_vec()))?)?,
            probes: register(&registry, IntGauge::new("forewarn_probes", "Probes that are loaded.")?)?,
            reload_successful: register(
                &registry,
                IntGauge::new(
                    "forewarn_config_last_reload_successful",
                    "Whether the configuration read last is the one running: 1 or 0.",
                )?,
            )?,
            reload_success: register(
                &registry,
                Gauge::new(
                    "forewarn_config_last_reload_success_timestamp_seconds",
                    "When a configuration was last taken into use.",
                )?,
            )?,
            registry,
        })
    }

    /// The families with their present values, sorted by name.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// The present values as text.
    pub(super) fn render(&self, format: Format) -> Vec<u8> {
        let mut out = Vec::new();
        for family in self.gather() {
            let Some(kind) = kind(&family) else { continue };
            out.extend_from_slice(format.header(family.name(), kind, family.help()).as_bytes());
            for metric in family.get_metric() {
                write(&mut out, family.name(), kind, metric);
            }
        }
        out
    }
}

/// The family's type; `None` for those that no metric here has.
pub(super) fn kind(family: &MetricFamily) -> Option<Type> {
    match family.get_field_type() {
        MetricType::COUNTER => Some(Type::Counter),
        MetricType::GAUGE => Some(Type::Gauge),
        MetricType::HISTOGRAM => Some(Type::Histogram),
        MetricType::SUMMARY | MetricType::UNTYPED => None,
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn write(out: &mut Vec<u8>, name: &str, kind: Type, metric: &Metric) {
    let labels = labels(metric.get_label());
    match kind {
        Type::Gauge => line(out, name, &labels, metric.get_gauge().get_value()),
        Type::Counter => line(out, name, &labels, metric.get_counter().get_value()),
        Type::Histogram => {
            let histogram = metric.get_histogram();
            let bucket = |out: &mut Vec<u8>, bound: &str, count| {
                let mut labels = labels.clone();
                if !labels.is_empty() {
                    labels.push(',');
                }
                label(&mut labels, "le", bound);
                line(out, &format!("{name}_bucket"), &labels, count);
            };
            for known in histogram.get_bucket() {
                bucket(out, &bound(known.upper_bound()), whole(known.cumulative_count()));
            }
            bucket(out, "+Inf", whole(histogram.get_sample_count()));
            line(out, &format!("{name}_sum"), &labels, histogram.get_sample_sum());
            line(out, &format!("{name}_count"), &labels, whole(histogram.get_sample_count()));
        }
    }
}

fn labels(pairs: &[LabelPair]) -> String {
    let mut labels = String::new();
    for (place, pair) in pairs.iter().enumerate() {
        if place > 0 {
            labels.push(',');
        }
        label(&mut labels, pair.name(), pair.value());
    }
    labels
}

fn line(out: &mut Vec<u8>, name: &str, labels: &str, value: f64) {
    let (open, close) = if labels.is_empty() { ("", " ") } else { ("{", "} ") };
    sample(out, &format!("{name}{open}"), labels, close, value);
}

#[expect(clippy::cast_precision_loss, reason = "the formats carry doubles; 2^53 events take longer than we run")]
fn whole(count: u64) -> f64 {
    count as f64
}

/// Seconds. Fine below 5 ms, where a healthy schedule is; up to 10 s, where it is not.
const LAG_BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(agent: &Agent, format: Format) -> String {
        String::from_utf8(agent.render(format)).unwrap()
    }

    #[test]
    fn its_own_metrics_read_the_same_in_both_formats() {
        let agent = Agent::new(&[("version", "1.2.3"), ("revision", "a\"b")]).unwrap();
        agent.lag.observe(0.002);
        agent.lag.observe(60.0);
        let text = rendered(&agent, Format::Text);
        for line in [
            "forewarn_build_info{revision=\"a\\\"b\",version=\"1.2.3\"} 1",
            "# TYPE forewarn_schedule_lag_seconds histogram",
            "forewarn_schedule_lag_seconds_bucket{le=\"0.001\"} 0",
            "forewarn_schedule_lag_seconds_bucket{le=\"0.0025\"} 1",
            "forewarn_schedule_lag_seconds_bucket{le=\"10.0\"} 1",
            "forewarn_schedule_lag_seconds_bucket{le=\"+Inf\"} 2",
            "forewarn_schedule_lag_seconds_sum 60.002",
            "forewarn_schedule_lag_seconds_count 2",
            "forewarn_probes 0",
        ] {
            assert!(text.lines().any(|have| have == line), "no line `{line}` in:\n{text}");
        }
        let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples(&rendered(&agent, Format::OpenMetrics)), samples(&text));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn counters_lose_their_suffix_in_open_metrics_headers_only() {
        let agent = Agent::new(&[]).unwrap();
        assert!(rendered(&agent, Format::Text).contains("# TYPE process_cpu_seconds_total counter\n"));
        let open = rendered(&agent, Format::OpenMetrics);
        assert!(open.contains("# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\n"));
        assert!(open.contains("\nprocess_cpu_seconds_total "));
    }
}
