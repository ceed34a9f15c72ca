// What mail programs do not support of the built-in mails, by the data of caniemail.com, against the list of losses that are accepted.
//
//     node tests/peers/caniemail.mjs FOLDER_OF_NODE_MODULES MAIL.html…
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, ...mails] = process.argv.slice(2);
const { caniemail } = await import(pathToFileURL(createRequire(`${folder}/x.js`).resolve('caniemail')));
const accepted = JSON.parse(readFileSync(new URL('caniemail.json', import.meta.url)));
// Those of which the data speaks in full; it does not know QQ and NetEase, whose rules are those of the oldest ones here.
const clients = ['apple-mail.*', 'gmail.*', 'outlook.*', 'yahoo.*'];

const lost = new Map();
for (const file of mails) {
  const { issues } = caniemail({ clients, html: readFileSync(file, 'utf8') });
  for (const [client, found] of issues.errors) {
    for (const { title } of found) {
      lost.set(title, (lost.get(title) ?? new Set()).add(client));
    }
  }
}

const unknown = [...lost].filter(([title]) => !(title in accepted));
for (const [title, clients] of unknown) {
  console.log(`not supported by ${[...clients].join(', ')}, and not accepted in caniemail.json: ${title}`);
}
const stale = Object.keys(accepted).filter((title) => !lost.has(title));
for (const title of stale) {
  console.log(`accepted in caniemail.json, and not lost anywhere any more: ${title}`);
}
console.log(`note: ${mails.length} mails, ${lost.size} accepted losses`);
process.exit(unknown.length + stale.length > 0 || mails.length === 0 ? 1 : 0);
