/**
 * The grid of an image's codes, and the palette to choose a code from. Each is a single tab stop; the arrow keys move
 * within it.
 */
import { paint } from "./image.js";

/** Lets the arrow keys, Home and End move among buttons in rows, only one of which is in the tab order. */
function roam(element, buttons, columns) {
  const focus = (index) => {
    buttons().forEach((button, other) => (button.tabIndex = other === index ? 0 : -1));
    buttons()[index].focus();
  };
  element.addEventListener("keydown", (event) => {
    const all = buttons();
    const index = all.indexOf(document.activeElement);
    const row = index - (index % columns());
    const places = {
      ArrowLeft: index - 1,
      ArrowRight: index + 1,
      ArrowUp: index - columns(),
      ArrowDown: index + columns(),
      Home: event.ctrlKey ? 0 : row,
      End: event.ctrlKey ? all.length - 1 : Math.min(row + columns(), all.length) - 1,
    };
    const place = places[event.key];
    if (index < 0 || place === undefined) return;
    event.preventDefault();
    if (all[place]) focus(place);
  });
}

/** Returns the name of a place in the grid. */
export function placeName(place, columns) {
  return `row ${Math.floor(place / columns) + 1}, column ${(place % columns) + 1}`;
}

/** The grid of an image's codes, each in its colour. */
export class CodesGrid {
  /** on: { pick(place), point(place or null), clear(first place of a row) }. */
  constructor(element, [rows, columns], colours, on) {
    this.columns = columns;
    this.colours = colours;
    element.style.setProperty("--columns", columns);
    element.classList.toggle("small", columns > 12);
    this.cells = [];
    for (let row = 0; row < rows; row++) {
      const line = element.appendChild(document.createElement("div"));
      line.setAttribute("role", "row");
      for (let column = 0; column < columns; column++) this.cells.push(line.appendChild(cell()));
    }
    this.cells.forEach((button, place) => {
      button.tabIndex = place ? -1 : 0;
      button.addEventListener("click", () => this.codes?.[place] != null && on.pick(place));
      for (const event of ["focus", "pointerenter"]) button.addEventListener(event, () => on.point(place));
      for (const event of ["blur", "pointerleave"]) button.addEventListener(event, () => on.point(null));
    });
    element.addEventListener("keydown", (event) => {
      const place = this.cells.indexOf(document.activeElement);
      if (event.key === "Delete" || event.key === "Backspace") on.clear(place - (place % columns));
    });
    roam(element, () => this.cells, () => columns);
    this.show(null);
  }

  /** Shows codes, of which null is a cleared one; null instead of the codes shows an empty grid. */
  show(codes) {
    this.codes = codes;
    this.cells.forEach((button, place) => {
      const code = codes?.[place];
      const named = code ?? (codes ? "cleared" : "none yet");
      button.textContent = code ?? "";
      button.classList.toggle("empty", code == null);
      button.setAttribute("aria-disabled", code == null);
      button.style.setProperty("--colour", this.colours[code] ?? "transparent");
      const name = placeName(place, this.columns);
      button.setAttribute("aria-label", `${name[0].toUpperCase()}${name.slice(1)}: ${code == null ? named : `code ${code}`}`);
    });
  }

  /** Marks the place that the palette is open for; null: none. */
  mark(place) {
    this.cells.forEach((button, other) => button.setAttribute("aria-selected", other === place));
  }

  focus(place) {
    this.cells.forEach((button, other) => (button.tabIndex = other === place ? 0 : -1));
    this.cells[place].focus();
  }
}

/** All codes with their patches, to choose one from. */
export class Palette {
  /** on: { try(code), choose(code), leave() }. */
  constructor(section, element, colours, patches, shape, on) {
    this.section = section;
    this.element = element;
    this.swatches = patches.map((patch, code) => {
      const button = element.appendChild(document.createElement("button"));
      button.type = "button";
      button.setAttribute("role", "option");
      button.setAttribute("aria-label", `Code ${code}`);
      button.style.setProperty("--colour", colours[code]);
      paint(button.appendChild(document.createElement("canvas")), patch, shape);
      button.appendChild(document.createElement("span")).textContent = code;
      for (const event of ["focus", "pointerenter"]) button.addEventListener(event, () => on.try(code));
      button.addEventListener("click", () => on.choose(code));
      return button;
    });
    element.addEventListener("pointerleave", () => this.isOpen && on.try(null));
    section.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      on.leave();
    });
    roam(element, () => this.swatches, () => this.#columns());
  }

  get isOpen() {
    return !this.section.hidden;
  }

  open(code) {
    this.section.hidden = false;
    this.swatches.forEach((button, other) => {
      button.tabIndex = other === code ? 0 : -1;
      button.setAttribute("aria-selected", other === code);
    });
    this.swatches[code].focus({ preventScroll: true });
    this.section.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.section.hidden = true;
  }

  #columns() {
    const top = this.swatches[0].offsetTop;
    const second = this.swatches.findIndex((button) => button.offsetTop > top);
    return second < 0 ? this.swatches.length : second;
  }
}

function cell() {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("role", "gridcell");
  return button;
}
