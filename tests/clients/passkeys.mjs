// A person in a real browser (Chromium, without a window) whose authenticator is the browser's own virtual one: makes a
// passkey, then signs in with it, alone and after a password. Prints one JSON object: what our API answered.
//
//   node passkeys.mjs <origin> <address> <password>     CHROMIUM=<path> is used where it is set
import { tmpdir } from "node:os";
import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const [origin, email, password] = process.argv.slice(2);
const executablePath = process.env.CHROMIUM || (await chromium.executablePath());
const args = [...chromium.args, "--no-sandbox", "--disable-dev-shm-usage"];
const browser = await puppeteer.launch({ executablePath, args, headless: "shell", env: { ...process.env, HOME: tmpdir() } });
try {
  const page = await browser.newPage();
  await page.setBypassCSP(true); // the script below is the front end's, which the page that it runs in is not
  const devtools = await page.createCDPSession();
  await devtools.send("WebAuthn.enable");
  await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  await page.goto(`${origin}/docs/problems`);
  console.log(JSON.stringify(await page.evaluate(signInEveryWay, email, password)));
} finally {
  await browser.close();
}

// Runs in the page.
async function signInEveryWay(email, password) {
  const ask = async (path, body, token) => {
    const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
    const response = await fetch(`/api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body ?? {}) });
    return { status: response.status, body: await response.json() };
  };
  const sign = async (options) => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    return (await navigator.credentials.get({ publicKey })).toJSON();
  };

  const { access_token: token } = (await ask("auth/login", { email, password })).body;
  const asked = await ask("me/second-factors/passkeys/options", {}, token);
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked.body.options);
  const made = (await navigator.credentials.create({ publicKey })).toJSON();
  const added = await ask("me/second-factors/passkeys", { credential: made, name: "Browser" }, token);

  const options = (await ask("auth/passkey/options")).body.options;
  const alone = await ask("auth/passkey", { credential: await sign(options) });

  const waiting = await ask("auth/login", { email, password });
  const credential = await sign(waiting.body.passkey_options);
  const both = await ask("auth/second-factor", { challenge: waiting.body.challenge, credential });
  const again = await ask("auth/second-factor", { challenge: waiting.body.challenge, credential });
  return { added, alone, waiting, both, again };
}
