// A third-party application on Node: openid-client, the address of our metadata, and nothing else of ours.
// Two lines on stdout: where it sends its user, and what came of it. In between, where its user came back to, on stdin.

import { createInterface } from "node:readline";
import * as client from "openid-client";

const [issuer, clientId, clientSecret, redirectUri, scope] = process.argv.slice(2);
const authentication = clientSecret ? client.ClientSecretBasic(clientSecret) : client.None();
const insecure = { execute: [client.allowInsecureRequests] }; // the tests' server speaks plain HTTP
const config = await client.discovery(new URL(issuer), clientId, undefined, authentication, insecure);

const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const expectedNonce = client.randomNonce();
const url = client.buildAuthorizationUrl(config, {
  redirect_uri: redirectUri,
  scope,
  state: expectedState,
  nonce: expectedNonce,
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: "S256",
});
console.log(url.href);

async function finish(back) {
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true, maxAge: 3600 };
  const tokens = await client.authorizationCodeGrant(config, new URL(back), checks);
  const claims = tokens.claims();
  const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
  const refreshed = tokens.refresh_token && (await client.refreshTokenGrant(config, tokens.refresh_token));
  return { tokens, claims, userinfo, refreshed };
}

for await (const back of createInterface({ input: process.stdin })) {
  const answer = await finish(back).catch((error) => ({ refused: error.error ?? error.code ?? String(error) }));
  console.log(JSON.stringify(answer));
  break;
}
