//! A chart: series of points over two axes, a shaded time, a legend. Every series has a dash pattern and a marker besides its
//! colour, so that it is known in black and white.

use super::{
    axis::Axis,
    svg::{Anchor, GRID, INK, PALETTE, Svg},
};

/// How a series is drawn between its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// Through.
    Solid,
    /// Long dashes.
    Dashed,
    /// Dots.
    Dotted,
    /// Dashes and dots.
    DashDot,
    /// Not at all: only markers.
    None,
}

impl Stroke {
    const fn dashes(self) -> &'static str {
        match self {
            Self::Solid | Self::None => "",
            Self::Dashed => "9 5",
            Self::Dotted => "2 4",
            Self::DashDot => "10 4 2 4",
        }
    }
}

/// What marks a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Nothing.
    None,
    /// A circle.
    Circle,
    /// A square on its side.
    Square,
    /// A triangle.
    Triangle,
    /// A diamond.
    Diamond,
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its place in the palette.
    pub colour: usize,
    /// Its line.
    pub stroke: Stroke,
    /// Its marker.
    pub marker: Marker,
    /// Its points, in order.
    pub points: Vec<(f64, f64)>,
    /// How far the error bar of each point reaches up and down; empty where there are none.
    pub errors: Vec<f64>,
}

impl Series {
    /// A series without error bars.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        colour: usize,
        stroke: Stroke,
        marker: Marker,
        points: Vec<(f64, f64)>,
    ) -> Self {
        Self { name: name.into(), colour, stroke, marker, points, errors: Vec::new() }
    }
}

/// A chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// Along.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// What is in it.
    pub series: Vec<Series>,
    /// A stretch of the x axis that is shaded, and its name.
    pub shaded: Option<(f64, f64, String)>,
    /// Names at places of the x axis instead of its numbers; empty for numbers.
    pub x_names: Vec<(f64, String)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 58.0;
/// Markers along one line: more would hide it.
const MARKERS_MAX: usize = 8;
/// The width of a letter of the legend, on average, for placing the next entry.
const LETTER: f64 = 6.3;

impl Chart {
    fn at(&self, point: (f64, f64)) -> (f64, f64) {
        let x = self.x.place(point.0).clamp(0.0, 1.0);
        let y = self.y.place(point.1).clamp(0.0, 1.0);
        (LEFT + x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM))
    }

    /// The picture.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let mut svg = Svg::new(WIDTH, HEIGHT);
        self.draw_shade(&mut svg);
        self.draw_axes(&mut svg);
        for series in &self.series {
            self.draw_series(&mut svg, series);
        }
        svg.text((LEFT, 24.0), Anchor::Start, 15.0, &self.title);
        self.draw_legend(&mut svg);
        svg.finish(&self.title)
    }

    fn draw_shade(&self, svg: &mut Svg) {
        let Some((from, until, name)) = &self.shaded else { return };
        let (top, left) = (self.at((*from, self.y.max)), self.at((*until, self.y.min)));
        svg.hatched((top.0, top.1), (left.0 - top.0, left.1 - top.1));
        // Its name stands above the plot, where no line runs through it.
        svg.text(((top.0 + left.0) / 2.0, TOP - 6.0), Anchor::Middle, 11.0, name);
    }

    fn draw_axes(&self, svg: &mut Svg) {
        let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
        for (value, label) in self.y.ticks() {
            let y = self.at((self.x.min, value)).1;
            svg.line((left, y), (right, y), GRID, 0.8, "");
            svg.text((left - 8.0, y + 4.0), Anchor::End, 12.0, &label);
        }
        let ticks = if self.x_names.is_empty() { self.x.ticks() } else { self.x_names.clone() };
        for (value, label) in ticks {
            let x = self.at((value, self.y.min)).0;
            if self.x_names.is_empty() {
                svg.line((x, top), (x, bottom), GRID, 0.8, "");
            }
            svg.line((x, bottom), (x, bottom + 5.0), INK, 1.0, "");
            svg.text((x, bottom + 19.0), Anchor::Middle, 12.0, &label);
        }
        svg.line((left, bottom), (right, bottom), INK, 1.2, "");
        svg.line((left, top), (left, bottom), INK, 1.2, "");
        svg.text(((left + right) / 2.0, HEIGHT - 14.0), Anchor::Middle, 13.0, &self.x.label);
        svg.text_up((20.0, (top + bottom) / 2.0), 13.0, &self.y.label);
    }

    fn draw_series(&self, svg: &mut Svg, series: &Series) {
        let colour = PALETTE[series.colour % PALETTE.len()];
        let places: Vec<(f64, f64)> = series.points.iter().map(|point| self.at(*point)).collect();
        if series.stroke != Stroke::None {
            svg.polyline(&places, colour, 2.2, series.stroke.dashes());
        }
        for ((x, y), error) in series.points.iter().zip(&series.errors) {
            let (low, high) = (self.at((*x, y - error)), self.at((*x, y + error)));
            svg.line(low, high, colour, 1.4, "");
            for end in [low, high] {
                svg.line((end.0 - 5.0, end.1), (end.0 + 5.0, end.1), colour, 1.4, "");
            }
        }
        let every = if series.stroke == Stroke::None { 1 } else { places.len().div_ceil(MARKERS_MAX).max(1) };
        // Lines that lie on each other show both markers, because each series begins elsewhere.
        let first = if every > 1 { every * (1 + series.colour % 3) / 4 } else { 0 };
        for place in places.iter().skip(first).step_by(every) {
            draw_marker(svg, series.marker, *place, colour);
        }
    }

    fn draw_legend(&self, svg: &mut Svg) {
        let named: Vec<&Series> = self.series.iter().filter(|series| !series.name.is_empty()).collect();
        let width = |series: &Series| 56.0 + LETTER * series.name.chars().count() as f64;
        let one_row = LEFT + named.iter().map(|series| width(series)).sum::<f64>() <= WIDTH;
        let (mut x, mut y) = (LEFT, if one_row { 46.0 } else { 40.0 });
        // In two rows the entries of the second stand below those of the first: what belongs together is seen together.
        let columns = named.len().div_ceil(if one_row { 1 } else { 2 });
        let column = named.iter().map(|series| width(series)).fold(0.0, f64::max);
        for (place, series) in named.into_iter().enumerate() {
            if place > 0 && place % columns == 0 {
                (x, y) = (LEFT, y + 19.0);
            }
            let colour = PALETTE[series.colour % PALETTE.len()];
            if series.stroke != Stroke::None {
                svg.line((x, y), (x + 34.0, y), colour, 2.2, series.stroke.dashes());
            }
            draw_marker(svg, series.marker, (x + 17.0, y), colour);
            svg.text((x + 40.0, y + 4.0), Anchor::Start, 12.0, &series.name);
            x += if one_row { width(series) } else { column };
        }
    }
}

/// Draws a marker: white inside, so that those of several lines can be told apart where they lie on each other.
fn draw_marker(svg: &mut Svg, marker: Marker, at: (f64, f64), colour: &str) {
    let (x, y) = at;
    match marker {
        Marker::None => {}
        Marker::Circle => svg.circle(at, 3.8, "#FFFFFF", colour, 1.8),
        Marker::Square => {
            svg.polygon(
                &[(x - 3.6, y - 3.6), (x + 3.6, y - 3.6), (x + 3.6, y + 3.6), (x - 3.6, y + 3.6)],
                "#FFFFFF",
                colour,
                1.8,
            );
        }
        Marker::Triangle => {
            svg.polygon(&[(x, y - 4.8), (x + 4.6, y + 3.6), (x - 4.6, y + 3.6)], "#FFFFFF", colour, 1.8)
        }
        Marker::Diamond => {
            svg.polygon(&[(x, y - 5.0), (x + 5.0, y), (x, y + 5.0), (x - 5.0, y)], "#FFFFFF", colour, 1.8)
        }
    }
}
