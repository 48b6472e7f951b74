// A certified OpenID Connect provider for the tests, told over HTTP who may sign in where: see ../openid_provider.py.
// It signs people in without asking them anything, prints its issuer on the first line, and ends with its input.

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Provider } from "oidc-provider";

const stored = new Map(); // everything the provider keeps, by "model:id"
const accounts = new Map(); // claims, by sub
let lies = {}; // claims to put over the true ones

class Adapter {
  constructor(model) {
    this.model = model;
  }
  key(id) {
    return `${this.model}:${id}`;
  }
  async upsert(id, payload) {
    stored.set(this.key(id), payload);
  }
  async find(id) {
    return stored.get(this.key(id));
  }
  async findByUid(uid) {
    return [...stored].find(([key, value]) => key.startsWith("Session:") && value.uid === uid)?.[1];
  }
  async consume(id) {
    stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    stored.delete(this.key(id));
  }
  async revokeByGrantId(grantId) {
    for (const [key, value] of stored) if (value.grantId === grantId) stored.delete(key);
  }
}

function newKeys() {
  const pairs = {
    RS256: generateKeyPairSync("rsa", { modulusLength: 2048 }),
    ES256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  };
  return Object.entries(pairs).map(([alg, pair]) => ({
    ...pair.privateKey.export({ format: "jwk" }),
    alg,
    use: "sig",
    kid: randomUUID(),
  }));
}

/** Everybody may have what their client asks for: nobody is there to be asked. */
async function grantEverything(ctx) {
  const { Grant } = ctx.oidc.provider;
  const grant = new Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
  grant.addOIDCScope("openid email profile offline_access");
  await grant.save();
  return grant;
}

function newProvider(issuer) {
  const provider = new Provider(issuer, {
    adapter: Adapter,
    jwks: { keys: newKeys() },
    cookies: { keys: [randomUUID()] },
    scopes: ["openid", "offline_access", "email", "profile"],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "given_name", "family_name"] },
    conformIdTokenClaims: false, // as most providers do it: what was asked for is in the ID token, too
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    // Its own connects to public addresses only.
    fetch: (url, { method, headers, body, redirect }) => fetch(url, { method, headers, body, redirect }),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: grantEverything,
    findAccount: (ctx, sub) => accounts.has(sub) && { accountId: sub, claims: () => ({ sub, ...accounts.get(sub) }) },
  });
  const honest = provider.IdToken.prototype.payload;
  provider.IdToken.prototype.payload = async function () {
    const honestly = await honest.call(this);
    if (honestly.events) return honestly; // a logout token
    const { email, email_verified, name, given_name, family_name, ...others } = accounts.get(this.available.sub) ?? {};
    return { ...others, ...honestly, ...lies };
  };
  return provider;
}

/** Sign in whoever the test names (`?account=`), else whoever the client hints at. */
async function interact(request, response, url) {
  const { params, prompt } = await provider.interactionDetails(request, response);
  const sub = url.searchParams.get("account") ?? params.login_hint;
  const refusal = { error: "access_denied", error_description: `nobody signed in (${prompt.name})` };
  const result = accounts.has(sub) ? { login: { accountId: sub } } : refusal;
  await provider.interactionFinished(request, response, result);
}

/** End somebody's sessions and tell every client of them (OpenID Connect Back-Channel Logout). */
async function endSessions({ account }) {
  const answers = [];
  for (const [key, session] of [...stored]) {
    if (!key.startsWith("Session:") || session.accountId !== account) continue;
    stored.delete(key);
    for (const [clientId, { sid }] of Object.entries(session.authorizations ?? {})) {
      const client = await provider.Client.find(clientId);
      if (!client?.backchannelLogoutUri) continue;
      const told = await client.backchannelLogout(account, sid).then(
        () => 200,
        (error) => error.response?.status ?? 0,
      );
      answers.push({ client_id: clientId, sid, status: told });
    }
  }
  return answers;
}

const orders = {
  client: (metadata) => void stored.set(`Client:${metadata.client_id}`, metadata),
  account: ({ sub, ...claims }) => void accounts.set(sub, claims),
  remove_account: ({ sub }) => void accounts.delete(sub),
  lies: (claims) => void (lies = claims),
  rotate: () => void (provider = newProvider(provider.issuer)),
  end_sessions: endSessions,
};

async function obey(request, response, name) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const answer = await orders[name](JSON.parse(body || "{}"));
  response.setHeader("Content-Type", "application/json").end(JSON.stringify(answer ?? null));
}

let provider;
const server = createServer(async (request, response) => {
  const url = new URL(request.url, provider.issuer);
  const [, area, name] = url.pathname.split("/");
  try {
    if (area === "control") await obey(request, response, name);
    else if (area === "interaction") await interact(request, response, url);
    else await provider.callback()(request, response);
  } catch (error) {
    response.writeHead(500).end(String(error.stack));
  }
});
server.listen(0, "127.0.0.1", () => {
  provider = newProvider(`http://127.0.0.1:${server.address().port}`);
  console.log(JSON.stringify({ issuer: provider.issuer }));
});
for await (const _ of createInterface({ input: process.stdin }));
process.exit(0);
