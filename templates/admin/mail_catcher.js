'use strict';
// Reading needs none of this: it makes times local, frames as high as their mail, and the list live.
const lang = document.documentElement.lang;
const units = [[86400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']];

function tellTimes() {
  for (const time of document.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    const full = at.toLocaleString(lang, { dateStyle: 'medium', timeStyle: 'medium' });
    time.title = full;
    if ('full' in time.dataset) { time.textContent = full; continue; }
    const seconds = Math.max(0, (Date.now() - at) / 1000);
    const [size, unit] = units.find(([size]) => seconds >= size) || units[3];
    time.textContent = new Intl.RelativeTimeFormat(lang, { numeric: 'auto', style: 'short' }).format(-Math.floor(seconds / size), unit);
  }
}

// The frame has no right to run anything; being of our origin only lets us measure it.
function fit(frame) {
  const page = frame.contentDocument && frame.contentDocument.documentElement;
  if (!page) return;
  frame.style.height = '120px';
  frame.style.height = Math.min(page.scrollHeight, 20000) + 'px';
}

for (const frame of document.querySelectorAll('iframe')) {
  const watch = () => {
    fit(frame);
    for (const picture of frame.contentDocument ? frame.contentDocument.images : []) {
      picture.addEventListener('load', () => fit(frame));
      picture.addEventListener('error', () => fit(frame));
    }
  };
  frame.addEventListener('load', watch);
  if (frame.contentDocument && frame.contentDocument.readyState === 'complete') watch();
  addEventListener('resize', () => fit(frame));
}

for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = !navigator.clipboard;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.done;
  });
}

document.addEventListener('error', event => { if (event.target.closest && event.target.closest('.thumb')) event.target.remove(); }, true);

async function refresh() {
  const list = document.getElementById('list');
  if (!list || document.hidden) return;
  const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = page.getElementById('list');
  if (!fresh || fresh.dataset.state === list.dataset.state) return;
  document.getElementById('count').textContent = page.getElementById('count').textContent;
  list.replaceWith(document.adoptNode(fresh));
  tellTimes();
}

tellTimes();
setInterval(tellTimes, 10000);
if (document.getElementById('list')) setInterval(() => refresh().catch(() => {}), 3000);
