'use strict';
// The demo: three versions of a service come and go behind baton, under
// load, and no request fails.
//
//   node run.js [--restarts] [--short]
//
// --restarts  baton itself is hot-restarted every second meanwhile, and the
//             control plane is dead for a part of the time
// --short     smaller pauses and fewer requests
//
// B names the build folder (default: build).  Prints each step, then the
// load generator's own count; exit 0 when no request failed.

const { execFile, fork, spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const net = require('net');
const os = require('os');
const path = require('path');

const here = __dirname;
const top = path.join(here, '..', '..');
const build = path.resolve(top, process.env.B || 'build');
const restarts = process.argv.includes('--restarts');
const short = process.argv.includes('--short');

const LISTENER = 8000, ADMIN = 8001, CONTROL_PLANE = 9977;
const PORTS = { 1: 9981, 2: 9982, 3: 9983 };
const STAT = 'listener.0.0.0.0_8000.http.ingress_http.downstream_rq_5xx';
const pause = short ? 1500 : 4000;
const CLIENTS = 20, RATE = 25; // requests per second of each client

const children = new Set();
const runtime = fs.mkdtempSync(path.join(os.tmpdir(), 'baton-demo-'));
const began = Date.now();

const say = (text) => console.log(`${((Date.now() - began) / 1000).toFixed(1).padStart(5)} s  ${text}`);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// ---- processes: every one is ended by its pid, whatever happens

function start(child) {
  children.add(child);
  child.on('exit', () => children.delete(child));
  return child;
}

const ended = (child) => child.exitCode !== null || child.signalCode !== null
  ? Promise.resolve() : new Promise((done) => child.once('exit', done));

async function node(script, ...args) {
  const child = start(fork(path.join(here, script), args.map(String)));
  await new Promise((done, failed) => {
    child.once('message', done);
    child.once('exit', () => failed(new Error(`${script} did not start`)));
  });
  return child;
}

const run = (program, ...args) => new Promise((done) => {
  execFile(path.join(build, program), args, (err, out, text) =>
    done({ code: err ? err.code : 0, text: (out + text).trim() }));
});
const ctl = (...args) => run('batonctl', '--runtime-dir', runtime, ...args);

const isFree = (port) => new Promise((tell) => {
  const server = net.createServer();
  server.once('error', () => tell(false));
  server.listen(port, '0.0.0.0', () => server.close(() => tell(true)));
});

async function checkPorts() {
  for (const port of [LISTENER, ADMIN, CONTROL_PLANE, ...Object.values(PORTS)]) {
    if (!await isFree(port)) throw new Error(`port ${port} is in use; end who uses it, and begin again`);
  }
}

async function cleanUp() {
  await ctl('stop', 'now');
  for (const child of children) child.kill('SIGKILL');
  fs.rmSync(runtime, { recursive: true, force: true });
}

// ---- questions to baton's admin port

const get = (where) => new Promise((done) => {
  const request = http.get({ host: '127.0.0.1', port: ADMIN, path: where, agent: false }, (response) => {
    let body = '';
    response.on('data', (piece) => { body += piece; });
    response.on('end', () => done({ status: response.statusCode, body }));
  });
  request.setTimeout(2000, () => request.destroy());
  request.on('error', () => done({ status: 0, body: '' }));
});

let failure; // why there is nothing to wait for any more

async function until(what, condition) {
  for (let i = 0; i < 600 && !failure; i++) {
    if (await condition()) return;
    await sleep(50);
  }
  throw new Error(failure || `waited in vain for: ${what}`);
}

const isHealthy = (version) => async () => {
  const { body } = await get('/clusters');
  return body.includes(`services::127.0.0.1:${PORTS[version]}::health_flags::healthy`);
};

async function stat(name) {
  const { body } = await get(`/stats?filter=^${name.replace(/\./g, '\\.')}$`);
  return body.trim();
}

// ---- the load

function load() {
  const total = (short ? 14 : 34) * CLIENTS * RATE;
  const child = start(spawn('hey', ['-n', String(total), '-c', String(CLIENTS), '-q', String(RATE),
    '-disable-redirects', '-o', 'csv', `http://127.0.0.1:${LISTENER}/`]));
  let out = '', errors = '';

  child.stdout.on('data', (piece) => { out += piece; });
  child.stderr.on('data', (piece) => { errors += piece; });
  return {
    child,
    // A request without an answer has no line of its own.
    async result() {
      await ended(child);
      const codes = out.trim().split('\n').slice(1).map((line) => line.split(',')[6]);
      const good = codes.filter((code) => code === '200').length;
      return { total, good, failed: total - good, errors: errors.trim() };
    },
  };
}

// ---- the story

const services = {};
let controlPlane, members = [];

function tell(...versions) {
  members = versions;
  if (controlPlane) controlPlane.send({ set: { services: members.map((v) => PORTS[v]) } });
  say(`the control plane says: version ${versions.join(' and version ')}`);
}

async function startControlPlane() {
  controlPlane = await node('control-plane.js', CONTROL_PLANE);
  controlPlane.send({ set: { services: members.map((v) => PORTS[v]) } });
}

async function stopControlPlane() {
  const old = controlPlane;

  controlPlane = null;
  old.kill('SIGKILL');
  await ended(old);
}

async function deploy(version) {
  services[version] = await node('service.js', version, PORTS[version]);
  say(`version ${version} started`);
}

async function restartBaton(state) {
  for (state.count = 0; !state.enough; state.count++) {
    const { code, text } = await ctl('hot-restart');
    if (code !== 0) throw new Error(`hot restart: ${text}`);
    say(`generation ${state.count + 1} of baton took over`);
    await sleep(1000);
  }
}

async function story() {
  await checkPorts();
  await deploy(1);
  tell(1);
  await startControlPlane();
  const baton = start(spawn(path.join(build, 'baton'), ['-c', path.join(here, 'baton.yaml'), '--runtime-dir', runtime,
    '--log-level', 'error', '--parent-shutdown-time-s', '30', '--drain-time-s', '5'], { stdio: 'inherit' }));
  baton.once('error', (err) => { failure = err.message; });
  baton.once('exit', (code) => { if (code) failure = 'baton ended; the line above says why'; });
  await until('version 1 to be in use', isHealthy(1));
  say(`baton serves on port ${LISTENER}; the load begins`);

  const traffic = load();
  const state = { enough: false };
  const restarting = restarts ? restartBaton(state) : Promise.resolve();
  restarting.catch(() => {}); // looked at below
  await sleep(pause);

  await deploy(2);
  tell(1, 2);
  await until('version 2 to be in use', isHealthy(2));
  say('version 2 is healthy');
  await sleep(pause / 2);
  services[1].kill('SIGKILL');
  await ended(services[1]);
  say('version 1 is dead; the control plane still names it');
  await sleep(pause);
  tell(2);

  if (restarts) {
    await stopControlPlane();
    say('the control plane is dead');
    await sleep(pause);
    await startControlPlane();
    say('the control plane is back');
  }

  await deploy(3);
  tell(2, 3);
  await until('version 3 to be in use', isHealthy(3));
  say('version 3 is healthy');
  services[2].send({ drain: true });
  say('version 2 drains: it fails its health check and says so in every answer');
  await ended(services[2]);
  say('version 2 had nothing more to do and ended');
  await sleep(pause / 2);
  tell(3);

  const { total, good, failed, errors } = await traffic.result();
  state.enough = true;
  await restarting;
  if (restarts) say(`baton was hot-restarted ${state.count} times`);
  const rq5xx = await stat(STAT);
  console.log(`\n${total} requests, ${good} answered with 200, ${failed} failed`);
  if (errors) console.log(errors);
  console.log(rq5xx);
  return failed === 0 && rq5xx === `${STAT}: 0`;
}

(async () => {
  let good = false;
  const interrupted = () => cleanUp().then(() => process.exit(1));

  process.on('SIGINT', interrupted);
  process.on('SIGTERM', interrupted);
  process.stdout.on('error', interrupted); // nobody reads it any more
  console.log(restarts
    ? '\nThe same, while baton is hot-restarted every second and its control plane dies for a while'
    : '\nThree versions of a service come and go under load');
  try {
    good = await story();
  } catch (err) {
    console.error(`demo: ${err.message}`);
  }
  await cleanUp();
  process.exit(good ? 0 : 1);
})();
