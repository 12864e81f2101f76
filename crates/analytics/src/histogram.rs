//! Distributions of durations as OpenTelemetry's exponential histograms of scale 5: buckets grow by 2^(1/32), so that a
//! quantile is off by at most 1.1 %, whatever the range. Sums of histograms are exact, in any order.

/// Buckets for each doubling: 2^scale.
const BUCKETS_PER_DOUBLING: f64 = 32.0;

/// How often durations of about the same length came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Durations of zero.
    zero: u64,
    /// By index, ascending: bucket `i` has what is longer than 2^(i/32) ns and at most 2^((i+1)/32) ns.
    buckets: Vec<(i16, u64)>,
}

impl Histogram {
    /// One more duration.
    pub fn record(&mut self, nanos: u64) {
        if nanos == 0 {
            self.zero += 1;
        } else {
            self.add(index(nanos), 1);
        }
    }

    /// Adds another histogram's durations.
    pub fn merge(&mut self, other: &Self) {
        self.zero = self.zero.saturating_add(other.zero);
        for (index, count) in &other.buckets {
            self.add(*index, *count);
        }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(self.zero, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The duration that a share of them does not exceed, 0.5 for the median; `None` if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank is a count times a share from 0 to 1, and rounding it does not matter"
        )]
        let rank = ((count as f64 * share).ceil() as u64).clamp(1, count);
        let mut seen = self.zero;
        if rank <= seen {
            return Some(0);
        }
        for (index, count) in &self.buckets {
            seen = seen.saturating_add(*count);
            if rank <= seen {
                return Some(middle(*index));
            }
        }
        None
    }

    /// How many are longer, but for those of about the same length.
    #[must_use]
    pub fn count_over(&self, nanos: u64) -> u64 {
        let bound = if nanos == 0 { i16::MIN } else { index(nanos) };
        let over = self.buckets.iter().filter(|(index, _)| *index > bound);
        over.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// What it consists of, for whoever keeps it: the zeros, and the buckets by ascending index.
    #[must_use]
    pub fn parts(&self) -> (u64, &[(i16, u64)]) {
        (self.zero, &self.buckets)
    }

    /// From such parts, in any order.
    #[must_use]
    pub fn from_parts(zero: u64, buckets: impl IntoIterator<Item = (i16, u64)>) -> Self {
        let mut histogram = Self { zero, buckets: Vec::new() };
        buckets.into_iter().for_each(|(index, count)| histogram.add(index, count));
        histogram
    }

    fn add(&mut self, index: i16, count: u64) {
        // Most often it is there, and there are a few dozen.
        match self.buckets.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (index, count)),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "64 doublings have 2,048 buckets, and beside a bound either of two is right"
)]
fn index(nanos: u64) -> i16 {
    ((nanos as f64).log2() * BUCKETS_PER_DOUBLING).ceil() as i16 - 1
}

/// The middle of a bucket, by which both its ends are off alike.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is never negative")]
fn middle(index: i16) -> u64 {
    ((f64::from(index) + 0.5) / BUCKETS_PER_DOUBLING).exp2().round() as u64
}

#[cfg(test)]
mod tests;
