// Asks every few seconds whether anything changed, and replaces the panels that did.
let seen = document.documentElement.dataset.version;

function say(text) {
  document.getElementById('fresh').textContent = text;
}

function replacePanels(page) {
  for (const made of page.querySelectorAll('.panel')) {
    const shown = document.getElementById(made.id);
    if (!shown || shown.dataset.digest === made.dataset.digest) continue;
    const open = [...shown.querySelectorAll('details')].map(part => part.open);
    made.querySelectorAll('details').forEach((part, index) => { part.open = open[index] || false; });
    shown.replaceWith(made);
  }
  document.getElementById('made').textContent = page.getElementById('made').textContent;
}

async function look() {
  try {
    const version = (await (await fetch('version' + location.search)).text()).trim();
    if (version !== seen) {
      const text = await (await fetch(location.href)).text();
      replacePanels(new DOMParser().parseFromString(text, 'text/html'));
      seen = version;
    }
    say('');
  } catch (problem) {
    say('The server does not answer: these numbers do not change any more.');
  }
}

setInterval(look, 10000);
