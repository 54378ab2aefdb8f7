// Lines over the last minutes. uPlot draws; what it draws is also said in words below, for who does not see it.

import { useEffect, useRef } from './hooks.mjs';
import { align } from './series.js';
import { t } from './i18n.js';
import { html } from './ui.js';

const HEIGHT = 190;

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
}

function options(width, lines, format, theme) {
  const axis = { stroke: color('soft'), grid: { stroke: color('line'), width: 1 }, ticks: { stroke: color('line'), width: 1 } };
  const clock = (_, splits) => splits.map((at) => new Date(at * 1000).toTimeString().slice(0, 8));
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { show: false } },
    scales: { x: { time: true }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      { ...axis, values: clock, space: 80 },
      { ...axis, values: (_, splits) => splits.map(format), size: 86 },
    ],
    series: [{}, ...lines.map((line) => ({
      label: line.label,
      stroke: color('line-' + line.color),
      width: 2,
      points: { show: false },
      theme,
    }))],
  };
}

/** A chart of lines { label, color, points } that end now, which is a tick; `offset` makes a time of a tick. */
export function Chart({ title, lines, now, seconds, offset, format, theme }) {
  const place = useRef(null);
  const plot = useRef(null);
  const { times, values } = align(lines.map((line) => line.points), now, seconds);
  const data = [times.map((tick) => tick + offset), ...values];
  const shape = lines.map((line) => line.label + line.color).join() + theme;
  useEffect(() => {
    const make = () => {
      plot.current?.destroy();
      const width = Math.max(200, place.current.clientWidth);
      plot.current = new globalThis.uPlot(options(width, lines, format, theme), data, place.current);
    };
    make();
    const observer = new ResizeObserver(() => {
      const width = Math.max(200, place.current?.clientWidth ?? 0);
      if (plot.current && Math.abs(plot.current.width - width) > 1) plot.current.setSize({ width, height: HEIGHT });
    });
    observer.observe(place.current);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => {
    plot.current?.setData(data);
  }, [now, lines]);
  const latest = (line) => line.points[line.points.length - 1]?.[1] ?? null;
  return html`<figure class="card chart">
    <h2>${title}</h2>
    <div class="plot" ref=${place} aria-hidden="true"></div>
    <figcaption>
      ${lines.length === 0 ? html`<p class="hint">${t('chart.empty')}</p>` : html`<ul class="legend">
        ${lines.map((line) => html`<li key=${line.label} class=${'line-' + line.color}>${line.label}: ${format(latest(line))}</li>`)}
      </ul>`}
    </figcaption>
  </figure>`;
}
