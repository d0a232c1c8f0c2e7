//! Medians, spreads and figures, as every table shows them.

/// Median, least and greatest.
pub(crate) fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(values.len() / 2), at(0), at(values.len().saturating_sub(1)))
}

/// Three digits that matter, never fewer than the whole number; a dash for what is no number.
pub(crate) fn figure(value: f64) -> String {
    match value {
        v if v.is_nan() => "–".to_owned(),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// `median [least-greatest]`.
pub(crate) fn cell(values: Vec<f64>) -> String {
    let (median, least, greatest) = spread(values);
    format!("{} [{}-{}]", figure(median), figure(least), figure(greatest))
}
