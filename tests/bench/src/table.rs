//! The table of goals with their measured values.

use std::fmt;

use serde::Serialize;

/// One goal with its measured value.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The comparison and the figure.
    pub what: String,
    /// The ratio to the baseline in each round; without a baseline, the figure itself, from one round or more.
    pub value: Series,
    /// The goal for the median.
    pub goal: Goal,
    /// The result.
    pub verdict: Verdict,
    /// The figure of our server.
    pub ours: Series,
    /// The figure of the baseline, if there is one.
    pub baseline: Option<Series>,
    /// The unit of both.
    pub unit: &'static str,
}

/// A series of values, one from each round.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    /// The median.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// All values, in the order of the rounds.
    pub rounds: Vec<f64>,
}

/// A bound for a value, and an aim beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Goal {
    /// A larger value is better.
    AtLeast {
        /// The bound.
        must: f64,
        /// The value that the best known building blocks would reach.
        aim: Option<f64>,
    },
    /// A smaller value is better.
    AtMost {
        /// The bound.
        must: f64,
        /// The value that the best known building blocks would reach.
        aim: Option<f64>,
    },
}

/// The result of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// The value breaks the bound.
    Missed,
    /// The value keeps the bound.
    Met,
    /// The value reaches the aim, too.
    Aim,
}

impl Row {
    /// The row of a comparison with a baseline. `pairs`: our value and the baseline's of each round.
    pub fn ratio(what: String, unit: &'static str, pairs: &[(f64, f64)], goal: Goal) -> Self {
        let value = Series::of(pairs.iter().map(|(ours, baseline)| ours / baseline));
        let ours = Series::of(pairs.iter().map(|pair| pair.0));
        let baseline = Some(Series::of(pairs.iter().map(|pair| pair.1)));
        Self { what, verdict: goal.verdict(value.median), value, goal, ours, baseline, unit }
    }

    /// The row of a figure without a baseline. `values`: its value of each round.
    pub fn figure(what: String, unit: &'static str, values: &[f64], goal: Goal) -> Self {
        let value = Series::of(values.iter().copied());
        Self { what, verdict: goal.verdict(value.median), ours: value.clone(), value, goal, baseline: None, unit }
    }
}

impl Series {
    /// The series of these values, of which there must be at least one.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let rounds: Vec<_> = values.into_iter().collect();
        let mut sorted = rounds.clone();
        sorted.sort_by(f64::total_cmp);
        Self { median: sorted[sorted.len() / 2], min: sorted[0], max: sorted[sorted.len() - 1], rounds }
    }
}

impl Goal {
    /// A lower bound.
    pub const fn at_least(must: f64) -> Self {
        Goal::AtLeast { must, aim: None }
    }

    /// An upper bound.
    pub const fn at_most(must: f64) -> Self {
        Goal::AtMost { must, aim: None }
    }

    /// The same goal with an aim.
    pub const fn aiming_at(self, aim: f64) -> Self {
        match self {
            Goal::AtLeast { must, .. } => Goal::AtLeast { must, aim: Some(aim) },
            Goal::AtMost { must, .. } => Goal::AtMost { must, aim: Some(aim) },
        }
    }

    fn verdict(self, value: f64) -> Verdict {
        let (meets, aim) = match self {
            Goal::AtLeast { must, aim } => (value >= must, aim.is_some_and(|aim| value >= aim)),
            Goal::AtMost { must, aim } => (value <= must, aim.is_some_and(|aim| value <= aim)),
        };
        match (meets, aim) {
            (false, _) => Verdict::Missed,
            (true, false) => Verdict::Met,
            (true, true) => Verdict::Aim,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, Goal::AtLeast { must, aim } | Goal::AtMost { must, aim }) = match self {
            Goal::AtLeast { .. } => ('≥', self),
            Goal::AtMost { .. } => ('≤', self),
        };
        let aim = aim.map(|aim| format!("{aim:.2}")).unwrap_or_default();
        write!(f, "{:>8} {aim:>6}", format!("{sign} {must:.2}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Series { median, min, max, rounds } = &self.value;
        let verdict = match self.verdict {
            Verdict::Missed => "MISSED",
            Verdict::Met => "met",
            Verdict::Aim => "aim",
        };
        let range =
            if rounds.len() > 1 || self.baseline.is_some() { format!("{min:.2}–{max:.2}") } else { String::new() };
        write!(f, "{:<62} {median:>7.2} {range:>14} {} {verdict:<6}", self.what, self.goal)?;
        if let Some(baseline) = &self.baseline {
            write!(f, " {:.1} : {:.1} {}", self.ours.median, baseline.median, self.unit)?;
        }
        Ok(())
    }
}

/// The header line of the table.
pub fn header() -> String {
    let figures = "ours : the baseline";
    format!("{:<62} {:>7} {:>14} {:>8} {:>6} {:<6} {figures}", "what", "median", "of rounds", "must", "aim", "")
}

/// The summary line of the table.
pub fn footer(rows: &[Row]) -> String {
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let (missed, aims) = (count(Verdict::Missed), count(Verdict::Aim));
    format!("{} rows: {missed} missed, {} met, of which {aims} reach the aim", rows.len(), rows.len() - missed)
}

#[cfg(test)]
mod tests {
    use super::{Goal, Row, Series, Verdict};

    #[test]
    fn a_median_is_judged_by_its_goal() {
        use Verdict::{Aim, Met, Missed};
        #[rustfmt::skip]
        let table = [
            // goal                                 value  verdict
            (Goal::at_least(2.0),                   1.9,   Missed),
            (Goal::at_least(2.0),                   2.0,   Met),
            (Goal::at_least(2.0).aiming_at(3.0),    2.9,   Met),
            (Goal::at_least(2.0).aiming_at(3.0),    3.0,   Aim),
            (Goal::at_most(2.0),                    2.1,   Missed),
            (Goal::at_most(2.0),                    2.0,   Met),
            (Goal::at_most(2.0).aiming_at(1.3),     1.4,   Met),
            (Goal::at_most(2.0).aiming_at(1.3),     1.3,   Aim),
            (Goal::at_most(2.0),                    f64::NAN, Missed),
        ];
        for (goal, value, verdict) in table {
            assert_eq!(goal.verdict(value), verdict, "{value} for {goal:?}");
        }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let row = Row::ratio(String::new(), "", &[(1.0, 2.0), (30.0, 10.0), (8.0, 8.0)], Goal::at_most(1.0));
        assert_eq!(row.value.rounds, [0.5, 3.0, 1.0]);
        assert_eq!((row.value.median, row.value.min, row.value.max), (1.0, 0.5, 3.0));
        assert_eq!(row.ours.median / row.baseline.unwrap().median, 1.0);
        assert_eq!(row.verdict, Verdict::Met);
    }

    #[test]
    fn the_median_of_one_value_is_that_value() {
        assert_eq!(Series::of([4.0]).median, 4.0);
    }
}
