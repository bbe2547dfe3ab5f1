// node mysql against the echo server: node node_mysql.js PORT [tls]
const assert = require('node:assert');
const { promisify } = require('node:util');
const mysql = require('mysql');
const port = Number(process.argv[2]);
const options = { host: '127.0.0.1', port, user: 'root', password: 'secret', database: 'CometQL_v1', charset: 'utf8mb4' };
if (process.argv[3] === 'tls') options.ssl = { rejectUnauthorized: false };

function connection(more = {}) {
  const c = mysql.createConnection({ ...options, ...more });
  for (const name of ['connect', 'query', 'changeUser', 'ping', 'statistics', 'end']) c[name] = promisify(c[name]).bind(c);
  return c;
}

(async () => {
  await assert.rejects(connection({ password: 'wrong' }).connect(), { errno: 1045, sqlState: '28000' });
  const c = connection();
  await c.connect();
  const rows = await c.query('numbers');
  assert.deepEqual(rows.map((r) => ({ ...r })), ['1', '2', '3'].map((n) => ({ n, text: 'Привет 🎉', nothing: null })));
  const ok = await c.query('insert x');
  assert.equal(ok.insertId, 85791);
  await assert.rejects(c.query('fail'), { errno: 13 });
  const [echo] = await c.query('select ?, ?', [1, "it's 🎉"]);
  assert.equal(echo.echo, "select 1, 'it\\'s 🎉'");
  await c.ping();
  await c.statistics();
  await c.changeUser({ user: 'other', password: 'secret' });
  assert.equal((await c.query('after'))[0].echo, 'after');
  await assert.rejects(c.changeUser({ user: 'other', password: 'wrong' }), { errno: 1045 });
  c.destroy();
  console.log('node mysql ok');
})().catch((e) => { console.error(e); process.exit(1); });
