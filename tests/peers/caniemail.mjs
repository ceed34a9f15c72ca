// Compares the features that mail clients do not support (caniemail.com) with the accepted list in caniemail.json.
//
//     node tests/peers/caniemail.mjs FOLDER_OF_NODE_MODULES MAIL.html…
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, ...mails] = process.argv.slice(2);
const { caniemail } = await import(pathToFileURL(createRequire(`${folder}/x.js`).resolve('caniemail')));
const accepted = JSON.parse(readFileSync(new URL('caniemail.json', import.meta.url)));
// The clients with complete data. QQ and NetEase are missing; their rules match the oldest clients here.
const clients = ['apple-mail.*', 'gmail.*', 'outlook.*', 'yahoo.*'];

const unsupported = new Map();
for (const file of mails) {
  const { issues } = caniemail({ clients, html: readFileSync(file, 'utf8') });
  for (const [client, found] of issues.errors) {
    for (const { title } of found) {
      unsupported.set(title, (unsupported.get(title) ?? new Set()).add(client));
    }
  }
}

const unknown = [...unsupported].filter(([title]) => !(title in accepted));
for (const [title, clients] of unknown) {
  console.log(`not supported by ${[...clients].join(', ')} and not accepted in caniemail.json: ${title}`);
}
const stale = Object.keys(accepted).filter((title) => !unsupported.has(title));
for (const title of stale) {
  console.log(`accepted in caniemail.json, but supported by all clients now: ${title}`);
}
console.log(`note: ${mails.length} mails, ${unsupported.size} accepted unsupported features`);
process.exit(unknown.length + stale.length > 0 || mails.length === 0 ? 1 : 0);
