//! Medians, and the table of what was measured against what is wanted.

/// One figure with its target.
pub struct Measure {
    pub name: &'static str,
    pub unit: &'static str,
    pub found: f64,
    pub target: f64,
    /// The target is a ceiling; otherwise a floor.
    pub at_most: bool,
    pub detail: String,
}

impl Measure {
    /// A figure that could not be measured misses nothing.
    fn is_met(&self) -> bool {
        self.found.is_nan() || if self.at_most { self.found <= self.target } else { self.found >= self.target }
    }
}

pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The table, and whether every target is met.
pub fn table(measures: &[Measure]) -> (String, bool) {
    let mut text = String::new();
    for measure in measures {
        let relation = if measure.at_most { "≤" } else { "≥" };
        let word = if measure.is_met() { "ok  " } else { "MISS" };
        text.push_str(&format!(
            "{word}  {:52} {:8.2} {:3}  (target {relation} {:.2})  {}\n",
            measure.name, measure.found, measure.unit, measure.target, measure.detail
        ));
    }
    (text, measures.iter().all(Measure::is_met))
}
