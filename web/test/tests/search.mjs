// The search page.

import assert from 'node:assert/strict';

const rows = (page) => page.locator('a.row');
const query = (page) => page.getByRole('combobox', { name: 'Query in TraceQL' });

export const searchTests = [
  ['search: lists traces with their bars, marks and the status line', async ({ open, url }) => {
    const page = await open();
    await page.goto(url);
    await rows(page).first().waitFor();
    assert.equal(await rows(page).count(), 50);
    assert.match(await page.locator('tbody tr').nth(0).innerText(), /nginx\s*GET \/checkout\s*edge span not yet delivered/);
    assert.match(await page.locator('tbody tr').nth(1).innerText(), /1\.24 s\s*19\s*4\s*5 services/);
    assert.equal(await page.locator('tbody tr').nth(1).locator('rect').count(), 3, 'bar, CDN part, error');
    await page.getByText('413 spans/s in').waitFor();
  }],

  ['search: a hit within the millisecond of the log, one span, in the list and in the trace', async ({ open, url, traces }) => {
    const page = await open({ width: 390, height: 844 });
    await page.goto(url);
    const row = page.locator('tbody tr').filter({ has: page.locator(`a[href$="${traces.hit.id}"]`) });
    await row.waitFor();
    assert.match(await row.innerText(), /< 1 ms\s*1\sspan\s*1 service/);
    await row.click();
    const label = await page.getByRole('treegrid').getByRole('row').first().getAttribute('aria-label');
    assert.equal(label, 'cloudfront, GET /assets/*, starts at 0 ms, < 1 ms, on the critical path');
    assert.match(await page.locator('main header').first().innerText(), /< 1 ms/);
  }],

  ['search: derived ids and a back end that was not recorded are said in words, in the list and in the trace', async ({ open, url, traces }) => {
    for (const width of [1440, 390]) {
      const page = await open({ width, height: 844 });
      for (const [trace, words, sentence, fact] of [
        [traces.derived, 'ids derived from the request id', /derived from the request id, because its log has none of the edge function: backend spans cannot be joined/, 'derived from the request id: the log has none of the edge function, so backend spans cannot be joined'],
        [traces.kept, 'backend not recorded', /kept this span although the trace was not sampled, so the services behind it recorded nothing/, 'backend not recorded: the trace was not sampled, the CDN kept this span (error)'],
      ]) {
        await page.goto(url);
        const row = page.locator('tbody tr').filter({ has: page.locator(`a[href$="${trace.id}"]`) });
        await row.getByText(words).waitFor();
        await row.click();
        await page.locator('main header').first().getByText(words).waitFor();
        await page.getByRole('list', { name: 'Notices' }).getByText(sentence).waitFor();
        await page.getByRole('treegrid').getByRole('row').first().click();
        await page.getByText(fact).waitFor();
      }
      await page.goto(url);
      await rows(page).first().waitFor();
      assert.equal(await page.getByText('ids derived').count(), 1, 'only where it is so');
      await page.close();
    }
  }],

  ['search: pages by cursor', async ({ open, url }) => {
    const page = await open();
    await page.goto(url);
    await page.getByRole('button', { name: 'Load more' }).click();
    await page.waitForFunction(() => document.querySelectorAll('a.row').length > 50);
    const links = await rows(page).evaluateAll((all) => all.map((link) => link.getAttribute('href')));
    assert.equal(new Set(links).size, links.length, 'no trace twice');
    assert.equal(await page.getByRole('button', { name: 'Load more' }).count(), 0);
  }],

  ['search: the form writes the query, the query fills the form, both are in the address', async ({ open, url }) => {
    const page = await open();
    await page.goto(url);
    await page.getByLabel('Service', { exact: true }).fill('upstream');
    await page.getByLabel('Status').selectOption('error');
    await page.getByLabel('Min duration').fill('200');
    await page.getByLabel('Min duration').press('Enter');
    await page.waitForFunction(() => new URLSearchParams(location.search).get('q')?.includes('200ms'));
    const written = '{ resource.service.name = "upstream" && duration >= 200ms && status = error }';
    assert.equal(await query(page).inputValue(), written);
    await page.reload();
    assert.equal(await query(page).inputValue(), written);
    assert.equal(await page.getByLabel('Service', { exact: true }).inputValue(), 'upstream');
    await query(page).fill('{ status = error || duration > 1s }');
    await query(page).press('Enter');
    await page.getByText('The query says more than these fields can show').waitFor();
    await page.goBack();
    await page.waitForFunction((text) => document.querySelector('input[role=combobox]').value === text, written);
  }],

  ['search: completes with the keyboard', async ({ open, url }) => {
    const page = await open();
    await page.goto(url);
    await query(page).fill('');
    await query(page).pressSequentially('{ resource.service.name = "ups');
    await page.getByRole('option', { name: /"upstream"/ }).waitFor();
    await query(page).press('ArrowDown');
    await query(page).press('Enter');
    assert.equal(await query(page).inputValue(), '{ resource.service.name = "upstream" ');
    await query(page).pressSequentially('}');
    await query(page).press('Escape');
    await query(page).press('Enter');
    await page.waitForFunction(() => location.search.includes('upstream'));
  }],

  ['search: marks an error where the server saw it', async ({ open, url }) => {
    const page = await open();
    await page.goto(url);
    await query(page).fill('{ name == "é" }');
    await query(page).press('Enter');
    await page.getByText('Equality is written').waitFor();
    assert.equal(await page.locator('mark').innerText(), '=');
    assert.equal(await query(page).getAttribute('aria-invalid'), 'true');
  }],

  ['search: empty, partial, failed and cancelled are said', async ({ open, url }) => {
    const page = await open();
    await page.goto(`${url}/?q=${encodeURIComponent('{ resource.service.name = "nobody" }')}`);
    await page.getByText('No trace matches in this time range').waitFor();
    await page.goto(`${url}/?q=${encodeURIComponent('{ name = "partial" }')}`);
    await page.getByText('Incomplete: The search stopped after 10 s').waitFor();
    await page.goto(`${url}/?q=${encodeURIComponent('{ name = "broken" }')}`);
    await page.getByText('A block could not be read.').waitFor();
    await page.getByText('rootspan store verify').waitFor();
    await page.goto(`${url}/?q=${encodeURIComponent('{ name = "slow" }')}`);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByText('Search cancelled').waitFor();
  }],

  ['search: an empty page waits for the first trace, quietly', async ({ open, url }) => {
    const page = await open();
    let asked = 0;
    await page.route(/\/api\/v1\/search/, async (route) => {
      asked += 1;
      // Nothing, nothing, no answer at all, then what there is.
      if (asked <= 2) await route.fulfill({ json: { traces: [], nextCursor: null, partial: null } });
      else if (asked === 3) await route.abort();
      else await route.continue();
    });
    await page.goto(url);
    const waiting = page.getByText('No trace in this time range. Waiting for the first trace.');
    await waiting.waitFor();
    await page.evaluate(() => {
      window.seen = new Set();
      const look = () => window.seen.add(document.querySelector('a.row') !== null ? 'rows' : document.querySelector('.empty') !== null ? 'waiting' : 'something else');
      new MutationObserver(look).observe(document.querySelector('main'), { subtree: true, childList: true, characterData: true, attributes: true });
      window.busy = new MutationObserver(() => window.seen.add(document.querySelector('[role=status]').innerText));
      window.busy.observe(document.querySelector('[role=status]'), { subtree: true, childList: true, characterData: true });
    });
    await rows(page).first().waitFor();
    await waiting.waitFor({ state: 'detached' });
    const seen = await page.evaluate(() => [...window.seen].filter((text) => text === 'something else' || /Searching|cancelled/.test(text)));
    assert.deepEqual(seen, [], 'from waiting to rows with nothing between');
    assert.equal(asked, 4);
    await page.waitForTimeout(2_500);
    assert.equal(asked, 4, 'asks no more once something is there');
  }],

  ['search: a query over a time that is over does not wait', async ({ open, url }) => {
    const page = await open();
    const nobody = encodeURIComponent('{ resource.service.name = "nobody" }');
    await page.goto(`${url}/?q=${nobody}`);
    await page.getByText('Waiting for the first trace that does.').waitFor();
    await page.goto(`${url}/?q=${nobody}&start=1700000000000&end=1700000100000`);
    await page.getByText('No trace matches in this time range').waitFor();
    assert.equal(await page.getByText('Waiting for the first trace').count(), 0);
  }],

  ['search: rows by keyboard, back keeps the search', async ({ open, url }) => {
    const page = await open();
    await page.goto(`${url}/?q=${encodeURIComponent('{ status = error }')}`);
    await rows(page).first().waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/trace\//);
    await page.getByRole('treegrid').waitFor();
    await page.getByRole('link', { name: 'Search' }).click();
    await page.waitForFunction(() => location.search.includes('error'));
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('role')), 'combobox');
  }],

  ['search: the whole row leads to the trace, also its bar', async ({ open, url, traces }) => {
    const page = await open();
    await page.goto(url);
    const row = page.locator('tbody tr').filter({ has: page.locator(`a[href$="${traces.failing.id}"]`) });
    await row.waitFor();
    assert.match(await row.getAttribute('title'), /Z\n(.|\n)*upstream: \d+ spans/);
    for (const part of ['.start', '.bars', '.services']) {
      await row.locator(part).click({ force: true });
      await page.waitForURL(new RegExp(traces.failing.id));
      await page.goBack();
      await row.waitFor();
    }
  }],

  ['search: time range and live are in the address', async ({ open, url }) => {
    const page = await open();
    await page.goto(url);
    await page.getByRole('button', { name: 'Last hour' }).click();
    await page.getByRole('button', { name: 'Last 24 hours' }).click();
    await page.waitForURL(/range=24h/);
    const asked = page.waitForRequest(/\/api\/v1\/search/, { timeout: 10_000 });
    await page.getByRole('button', { name: 'Live' }).click();
    assert.match(page.url(), /live=1/);
    await asked;
  }],

  ['frame: freshness is of the arrival, whatever the clocks of the senders say', async ({ open, url }) => {
    const page = await open();
    await page.route('**/api/v1/status', async (route) => {
      const response = await route.fetch();
      const now = Date.now();
      const status = { ...(await response.json()), newestSpanUnixNano: String((now + 3_600_000) * 1e6), lastIngestUnixNano: `${now - 125_000}000000` };
      await route.fulfill({ response, json: status });
    });
    await page.goto(url);
    await page.getByText(/^last span received 2 min [56] s ago$/).waitFor();
  }],

  ['frame: shortcuts dialog and theme', async ({ open, url }) => {
    const page = await open();
    await page.goto(url);
    await rows(page).first().waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.getByRole('button', { name: /^Colours/ }).click();
    await page.getByRole('button', { name: /^Colours/ }).click();
    assert.notEqual(await ground(), light);
    await page.reload();
    await rows(page).first().waitFor();
    assert.notEqual(await ground(), light, 'the choice is kept');
  }],
];
