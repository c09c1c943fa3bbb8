// Small helpers around the document.

/** The element with this id. */
export const element = (id) => document.getElementById(id);

/** Shows or hides an element. */
export const show = (id, visible = true) => { element(id).hidden = !visible; };

/** Puts text where a screen reader hears it. */
export const say = (text) => { element('status').textContent = text; };

/** Shows what went wrong, or, without a text, that nothing is wrong any more. */
export const complain = (text) => {
  element('trouble').textContent = text ?? '';
  show('trouble', Boolean(text));
};

/** Fills a table's body. A cell is a text, or `{ text, className }`; a row may be `{ cells, className }`. */
export const fill = (table, rows) => {
  const body = table.tBodies[0];
  body.replaceChildren(...rows.map((row) => {
    const line = document.createElement('tr');
    const cells = row.cells ?? row;
    line.className = row.className ?? '';
    line.append(...cells.map((cell, column) => {
      const made = document.createElement(column === 0 ? 'th' : 'td');
      if (column === 0) made.scope = 'row';
      made.textContent = cell.text ?? cell;
      made.className = cell.className ?? table.tHead.rows[0].cells[column].className;
      return made;
    }));
    return line;
  }));
  table.hidden = rows.length === 0;
};

/** Fills a list of terms and what is said of them. */
export const define = (list, entries) => {
  list.replaceChildren(...entries.flatMap(([term, said]) => {
    const [name, value] = [document.createElement('dt'), document.createElement('dd')];
    [name.textContent, value.textContent] = [term, said];
    return [name, value];
  }));
};

/** Hands a value to the visitor as a JSON file. */
export const save = (name, value) => {
  const address = URL.createObjectURL(new Blob([JSON.stringify(value, null, 2)], { type: 'application/json' }));
  const link = document.createElement('a');
  [link.href, link.download] = [address, name];
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
};

/** A number for a table; a dash for none. */
export const number = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits) : '–');
