// Lines over time, drawn by uPlot.

import { useEffect, useRef } from "preact/hooks";
import { html } from "./html.js";

const HIGH = 200; // px

/** The computed value of a custom property may be a light-dark(…); a canvas wants a plain colour. */
function plain(name, element) {
  element.style.color = `var(${name})`;
  const found = getComputedStyle(element).color;
  element.style.color = "";
  return found;
}

function draw(element, lines, data, unit, least) {
  const axis = { stroke: plain("--soft", element), grid: { stroke: plain("--line", element), width: 1 } };
  const series = lines.map(({ label, tone, bars }) => ({
    label,
    stroke: plain(tone, element),
    width: bars ? 0 : 2,
    spanGaps: true,
    points: { show: false },
    paths: bars ? self.uPlot.paths.bars({ size: [0.7, 40] }) : undefined,
    fill: bars ? plain(tone, element) : undefined,
  }));
  const options = {
    width: element.clientWidth || 300,
    height: HIGH,
    legend: { show: false },
    cursor: { y: false },
    scales: { y: { range: (plot, low, high) => [0, Math.max(high * 1.1, least)] } },
    axes: [axis, { ...axis, size: 64, values: (plot, values) => values.map(unit) }],
    series: [{}, ...series],
  };
  return new self.uPlot(options, data, element);
}

/** data: [times, values of each line]; `unit` writes a value, `least` is the smallest height of the scale, `told` says in words what the picture shows. */
export function Chart({ lines, data, unit, least, told }) {
  const element = useRef(null);
  const plot = useRef(null);
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const place = element.current;
    const anew = () => {
      plot.current?.destroy();
      plot.current = draw(place, lines, latest.current, unit, least);
    };
    anew();
    const fit = new ResizeObserver(() => plot.current.setSize({ width: place.clientWidth, height: HIGH }));
    fit.observe(place);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", anew);
    addEventListener("dressed", anew);
    return () => {
      fit.disconnect();
      dark.removeEventListener("change", anew);
      removeEventListener("dressed", anew);
      plot.current.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(data), [data]);
  return html`<div class="chart" ref=${element} role="img" aria-label=${told}></div>
    <ul class="legend">${lines.map(({ label, tone }) => html`<li key=${label}>
      <svg width="12" height="12" aria-hidden="true"><rect width="12" height="12" rx="3" style=${{ fill: `var(${tone})` }} /></svg>${label}
    </li>`)}</ul>`;
}
