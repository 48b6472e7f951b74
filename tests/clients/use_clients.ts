// What a customer's program does with the generated TypeScript types: every value it reads is typed, and so is a refusal.
// `use_clients.ts <base URL> <password>` prints one line of JSON: what it saw.

import createClient, { type Middleware } from "openapi-fetch";
import type { paths as OperatorPaths } from "./operator.ts";
import type { components, paths } from "./tenant.ts";

type Problem = components["schemas"]["Problem"];
type Tokens = components["schemas"]["Tokens"];

declare const process: { argv: string[] }; // Node's own types are one package more
const [baseUrl, password] = process.argv.slice(2) as [string, string];

function bearer(token: string): Middleware {
  return {
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${token}`);
    },
  };
}

function as(token: string) {
  const client = createClient<paths>({ baseUrl });
  client.use(bearer(token));
  return client;
}

// What came back, or an exception with the problem's code: a program of one's own would decide by it.
function expect<T>(answer: { data?: T; error?: Problem }): T {
  if (answer.data === undefined) throw new Error(answer.error?.code ?? "no answer");
  return answer.data;
}

const stranger = createClient<paths>({ baseUrl });

async function signIn(email: string): Promise<Tokens> {
  return expect(await stranger.POST("/api/v1/auth/login", { body: { email, password, tenant: "acme" } }));
}

const tokens = await signIn("member@acme.test");
const member = as(tokens.access_token);
const viewer = as((await signIn("viewer@acme.test")).access_token);

const made = expect(await member.POST("/api/v1/projects", { body: { name: "By the TypeScript client" } }));
const changed = expect(
  await member.PATCH("/api/v1/projects/{id}", { params: { path: { id: made.id } }, body: { status: "archived" } }),
);
const page = expect(
  await viewer.GET("/api/v1/projects", { params: { query: { limit: 1, ordering: "-created_at" } } }),
);
const following: string | null = page.next;
const description: string = made.description; // a field that a request may leave out is in every answer

const refused = await viewer.POST("/api/v1/projects", { body: { name: "Not mine to make" } });
const mistaken = await member.POST("/api/v1/projects", { body: { name: "" } });

const refreshed = expect(
  await stranger.POST("/api/v1/auth/refresh", { body: { refresh_token: tokens.refresh_token } }),
);
const me = expect(await as(refreshed.access_token).GET("/api/v1/me"));

const platform = createClient<OperatorPaths>({ baseUrl });
const staff = await platform.POST("/operator/v1/auth/login", { body: { email: "operator@platform.test", password } });
platform.use(bearer(expect(staff).access_token));
const tenants = expect(await platform.GET("/operator/v1/tenants"));

// Nobody calls this: the compiler refuses each of its lines, and says so if it does not.
export async function never() {
  // @ts-expect-error -- there is no such path
  await member.GET("/api/v1/project");
  // @ts-expect-error -- there is no such field
  await member.POST("/api/v1/projects", { body: { nmae: "A typo" } });
  // @ts-expect-error -- there is no such status
  await member.PATCH("/api/v1/projects/{id}", { params: { path: { id: made.id } }, body: { status: "gone" } });
  // @ts-expect-error -- the last page has none
  const link: string = page.next;
  return link;
}

console.log(
  JSON.stringify({
    tenant: tokens.tenant,
    made: made.name,
    description,
    status: [made.status, changed.status],
    page: page.results.map((project) => project.name),
    "goes on": following !== null,
    refusal: [refused.response.status, refused.error?.code, refused.error?.scope],
    mistake: mistaken.error?.errors?.map((error) => [error.pointer, error.code]),
    rotated: refreshed.refresh_token !== tokens.refresh_token,
    me: me.email,
    tenants: tenants.results.map((tenant) => tenant.slug).sort(),
  }),
);
