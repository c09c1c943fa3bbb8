//! From the views of a request to sizes, params and bindings.

use super::row::{KernelParams, KernelRow, ViewRow};
use crate::error::{Error, Result};
use crate::view::{Binding, BoundView, BufferId, Extent, View, aligned};

/// A request to a kernel: views and values. Sizes follow from the axes of the views.
pub trait Request {
    /// The params of the kernel.
    type Params: KernelParams;

    /// Returns the params, and the bindings in order.
    ///
    /// # Errors
    /// [`Error::ViewMismatch`] for views that do not fit each other or the kernel; [`Error::SizeOverflow`] for offsets, strides and sizes above 32 bits.
    fn place(&self) -> Result<(Self::Params, Vec<Binding>)>;
}

/// Sizes and views of a request, relative to its bindings.
pub(crate) struct Placed {
    sizes: Vec<(&'static str, u32)>,
    /// A view for each that the kernel declares; absent ones are all zeros.
    pub views: Vec<BoundView>,
    /// Buffer and first element of each binding; `None` if nothing is bound.
    starts: Vec<Option<(BufferId, u64)>>,
}

impl Placed {
    /// The size that an axis has.
    pub fn size(&self, name: &str) -> u32 {
        self.sizes.iter().find(|(known, _)| *known == name).map_or(1, |(_, size)| *size)
    }

    /// Bindings that end where the accesses end. An absent operand is bound to the first binding's buffer, and not read.
    pub fn bindings(&self, accesses: &[Extent]) -> Vec<Binding> {
        let own = |(start, extent): (&Option<(BufferId, u64)>, &Extent)| {
            start.map(|(buffer, first)| Binding { buffer, first, len: extent.end.max(1) })
        };
        let own: Vec<Option<Binding>> = self.starts.iter().zip(accesses).map(own).collect();
        let any = own.iter().copied().flatten().next();
        own.into_iter().filter_map(|binding| binding.or(any)).collect()
    }
}

impl ViewRow {
    /// The names of its axes, that of a row's elements included where it is one.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.axes.iter().copied().chain(self.has_rows().then_some(self.width))
    }

    /// Whether the elements of a row are an axis of the view.
    fn has_rows(&self) -> bool {
        !self.width.starts_with(|first: char| first.is_ascii_digit())
    }
}

/// Sizes of the axes, views relative to their bindings, and where the bindings begin.
pub(crate) fn place(row: &'static KernelRow, views: &[Option<View>]) -> Result<Placed> {
    let declared: Vec<(usize, &ViewRow)> = row
        .bindings
        .iter()
        .enumerate()
        .flat_map(|(number, binding)| binding.views.iter().map(move |view| (number, view)))
        .collect();
    let mut sizes: Vec<(&'static str, u32)> = Vec::new();
    for ((_, rows), view) in declared.iter().zip(views).filter_map(|(row, view)| Some((row, (*view)?))) {
        infer(row, rows, &view, &mut sizes)?;
    }
    let mut placed = Placed { sizes, views: Vec::new(), starts: vec![None; row.bindings.len()] };
    for ((number, rows), view) in declared.iter().zip(views).filter_map(|(row, view)| Some((row, (*view)?))) {
        let start = placed.starts[*number].get_or_insert((view.buffer(), u64::MAX));
        if start.0 != view.buffer() {
            let (given, expected) = (view.buffer().index() as u64, start.0.index() as u64);
            return Err(Error::ViewMismatch { kernel: row.stem, view: rows.name, what: "buffer", given, expected });
        }
        start.1 = start.1.min(aligned(view.first()));
    }
    for ((number, rows), view) in declared.iter().zip(views) {
        let bound = match (view, placed.starts[*number]) {
            (Some(view), Some((_, first))) => bound(row, (*number, rows), view, first, &placed)?,
            _ => BoundView::default(),
        };
        placed.views.push(bound);
    }
    Ok(placed)
}

fn axes_of(row: &KernelRow, rows: &ViewRow, view: &View) -> Result<Vec<(u64, u64)>> {
    if !view.fits() {
        let what = "number of cuts beyond its axes";
        return Err(Error::ViewMismatch { kernel: row.stem, view: rows.name, what, given: 1, expected: 0 });
    }
    let expected = rows.names().count();
    view.padded(expected).ok_or_else(|| {
        let (given, expected) = (view.shape().len() as u64, expected as u64);
        Error::ViewMismatch { kernel: row.stem, view: rows.name, what: "number of axes", given, expected }
    })
}

/// Takes sizes from a view's axes, all that have names.
fn infer(row: &KernelRow, rows: &ViewRow, view: &View, sizes: &mut Vec<(&'static str, u32)>) -> Result<()> {
    for (name, (size, _)) in rows.names().zip(axes_of(row, rows, view)?).filter(|(name, _)| !name.starts_with('(')) {
        let size = crate::shape::fits_u32("size of an axis", size)?;
        match sizes.iter_mut().find(|(known, _)| *known == name) {
            None => sizes.push((name, size)),
            Some((_, known)) if *known == 1 => *known = size,
            Some((_, known)) if size == 1 || size == *known => {}
            Some((what, known)) => {
                let (given, expected) = (size.into(), (*known).into());
                return Err(Error::ViewMismatch { kernel: row.stem, view: rows.name, what, given, expected });
            }
        }
    }
    Ok(())
}

/// The view as the shader sees it. A written view has all elements, each once; elements of a row follow each other; and what is summed over is not
/// repeated.
fn bound(row: &KernelRow, (number, rows): (usize, &ViewRow), view: &View, first: u64, placed: &Placed) -> Result<BoundView> {
    let axes = axes_of(row, rows, view)?;
    let mismatch = |what, given, expected| Err(Error::ViewMismatch { kernel: row.stem, view: rows.name, what, given, expected });
    for (axis, (name, (size, stride))) in rows.names().zip(&axes).enumerate() {
        let whole = u64::from(placed.size(name));
        let is_row = axis == rows.axes.len();
        let is_written = row.bindings[number].written;
        if *size == 1 && whole > 1 && (is_row || is_written || is_summed(row, name)) {
            return mismatch(name, *size, whole);
        }
        if is_written && *size > 1 && *stride == 0 {
            return mismatch("stride of what is written", 0, 1);
        }
        if is_row && *size > 1 && *stride != 1 {
            return mismatch("stride of a row's elements", *stride, 1);
        }
    }
    let strides: Vec<u64> = axes.iter().take(rows.axes.len()).map(|(_, stride)| *stride).collect();
    view.bound(first, &strides)
}

/// Whether an axis is in no view that is written: a kernel sums over it.
fn is_summed(row: &KernelRow, name: &str) -> bool {
    let written = row.bindings.iter().filter(|binding| binding.written).flat_map(|binding| binding.views);
    !name.starts_with('(') && !written.flat_map(|view| view.names()).any(|other| other == name)
}

/// Refuses a view without an extra row if others of the kernel have one.
pub(crate) fn require_extra(row: &KernelRow, name: &'static str, view: &View, flag: u32) -> Result<()> {
    if flag != 0 && !view.has_extra() {
        return Err(Error::ViewMismatch { kernel: row.stem, view: name, what: "extra rows", given: 0, expected: 1 });
    }
    Ok(())
}

/// Refuses views whose axes are expressions and have other sizes than the params say.
pub(crate) fn require_axes(row: &KernelRow, views: &[Option<View>], sizes: &[&[u64]]) -> Result<()> {
    let declared = row.bindings.iter().flat_map(|binding| binding.views.iter().map(move |view| (binding.written, view)));
    for ((written, rows), (view, sizes)) in declared.zip(views.iter().zip(sizes)) {
        let Some(view) = view else { continue };
        let axes = rows.names().zip(axes_of(row, rows, view)?).zip(*sizes).enumerate();
        for (axis, ((what, (given, _)), &expected)) in axes.filter(|(_, ((name, _), _))| name.starts_with('(')) {
            let is_repeated = given == 1 && !written && axis < rows.axes.len();
            if given != expected && !is_repeated {
                return Err(Error::ViewMismatch { kernel: row.stem, view: rows.name, what, given, expected });
            }
        }
    }
    Ok(())
}
