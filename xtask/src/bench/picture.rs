//! The comparison as a picture: for each row a bar, as a share of the real Xen's.
use super::report::{Report, Row, grouped};
use std::fmt::Write;

const LABELS: u64 = 290;
const BARS: u64 = 400;
const NUMBERS: u64 = 190;
const TOP: u64 = 50;
const PITCH: u64 = 28;
const BAR: u64 = 16;

/// Draws it as SVG.
pub fn draw(report: &Report) -> String {
    let (width, height) = (LABELS + BARS + NUMBERS, TOP + PITCH * report.rows.len() as u64 + 10);
    // A share above all of the real Xen's is drawn in full, by shrinking everything.
    let most = report.rows.iter().map(|row| share(row.ours, row.xen)).fold(1.0, f64::max);
    let scale = BARS as f64 / most;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}, instructions: this hypervisor \
         against Xen 4.17 (grey: Xen; line: to be reached)</text>\n",
        report.title
    );
    for (i, row) in report.rows.iter().enumerate() {
        bar(&mut svg, row, TOP + PITCH * i as u64, scale);
    }
    svg += "</svg>\n";
    svg
}

fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}

fn bar(svg: &mut String, row: &Row, y: u64, scale: f64) {
    let text = y + BAR - 3;
    let ours = share(row.ours, row.xen) * scale;
    let _ = writeln!(svg, "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>", LABELS - 10, row.what);
    for (length, colour) in [(scale, "#d8d8d8"), (ours, "#b7410e")] {
        let _ = writeln!(
            svg,
            "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
        );
    }
    if let Some(reach) = row.reach {
        let x = LABELS as f64 + share(reach, row.xen) * scale;
        let (from, to) = (y - 3, y + BAR + 3);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{from}\" x2=\"{x:.1}\" y2=\"{to}\" stroke=\"#000000\" stroke-width=\"2\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{text}\">{} of {}</text>",
        LABELS + BARS + 10,
        grouped(row.ours),
        grouped(row.xen)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_the_share_and_none_leaves_the_picture() {
        let row = |ours, xen, reach| Row { name: "n", what: "w", ours, xen, reach };
        let half = draw(&Report { title: "here", rows: vec![row(50, 100, Some(25))] });
        assert!(half.contains("width=\"200.0\"") && half.contains("x1=\"390.0\""), "{half}");
        let double = draw(&Report { title: "here", rows: vec![row(50, 100, None), row(200, 100, None)] });
        assert!(double.contains("width=\"100.0\"") && double.contains("width=\"400.0\""), "{double}");
        assert!(double.starts_with("<svg") && double.ends_with("</svg>\n"));
    }
}
