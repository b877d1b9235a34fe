# SPDX-License-Identifier: BSD-2-Clause
# svg.py - the parts that all our pictures have: the page, a legend, a scale.
import html

COLOURS = ["#3182bd", "#e6550d", "#637939", "#843c39", "#7b4173", "#8c6d31", "#9ecae1", "#d6616b", "#8ca252",
           "#bd9e39", "#636363"]


def page(width, height, parts):
    """A whole SVG file."""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
            f'{"".join(parts)}</svg>\n')


def title(x, y, text):
    return f'<text x="{x}" y="{y}" font-weight="bold">{html.escape(text)}</text>'


def legend(x, y, names, colours, columns=5, width=105):
    """A square and a name each, in rows."""
    return "".join(
        f'<rect x="{x + width * (i % columns)}" y="{y + 16 * (i // columns)}" width="10" height="10" fill="{colours[i]}"/>'
        f'<text x="{x + 14 + width * (i % columns)}" y="{y + 9 + 16 * (i // columns)}">{html.escape(name)}</text>'
        for i, name in enumerate(names))


def scale(left, right, top, height, values, most, write=str):
    """Lines across, with their values at the left."""
    def y(value):
        return top + height * (1 - value / most)
    return "".join(
        f'<line x1="{left - 4}" x2="{right}" y1="{y(v):.1f}" y2="{y(v):.1f}" '
        f'stroke="#ddd"/><text x="{left - 8}" y="{y(v) + 4:.1f}" text-anchor="end">{write(v)}</text>' for v in values)
