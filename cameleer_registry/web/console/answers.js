// What the server answers: types only, there is nothing to run here.
// A test compares them with the OpenAPI document.

/** @typedef {"LIVE" | "STALE" | "DEAD"} Status */

/**
 * @typedef {object} AgentView
 * @property {string} agentId
 * @property {string} name
 * @property {string} group
 * @property {string | null} version
 * @property {string[]} routeIds
 * @property {Record<string, unknown>} capabilities
 * @property {string | null} instanceId
 * @property {Status} status
 * @property {boolean} connected
 * @property {string} registeredAt
 * @property {string} lastHeartbeatAt
 * @property {string} statusChangedAt
 */

/** @typedef {{PENDING: number, ACKNOWLEDGED: number, EXPIRED: number}} Counts */

/** @typedef {{SUCCESS: number, FAILURE: number}} Outcomes */

/** @typedef {{level: "agent" | "group" | "all", agentId?: string | null, group?: string | null}} Target */

/**
 * @typedef {object} CommandView
 * @property {string} commandId
 * @property {string} type
 * @property {unknown} [payload] absent where it is long, in lists
 * @property {boolean} [payloadTruncated]
 * @property {Target} target
 * @property {string} status
 * @property {string} createdAt
 * @property {string} expiresAt
 * @property {number} targetCount
 * @property {number} connectedCount
 * @property {string[]} skipped
 * @property {Counts} counts
 * @property {Outcomes} [outcomes]
 * @property {string | null} [issuedBy]
 */

/**
 * @typedef {object} Result what an agent said
 * @property {"SUCCESS" | "FAILURE"} status
 * @property {string | null} message
 * @property {unknown} data
 */

/**
 * @typedef {object} DeliveryView to one agent, of one command
 * @property {string} agentId
 * @property {string} status
 * @property {string | null} deliveredAt
 * @property {string | null} acknowledgedAt
 * @property {string | null} lateAckAt
 * @property {Result | null} result
 */

/** @typedef {DeliveryView & {commandId: string, type: string, payload: unknown, createdAt: string, expiresAt: string}} AgentDeliveryView */

/**
 * @typedef {object} ServerView which server this is
 * @property {string | null} [name]
 * @property {string | null} [color] as CSS has it
 * @property {string} [version]
 * @property {string} [instance]
 * @property {string} [startedAt]
 * @property {number} [uptimeMs]
 * @property {Resumed | null} [resumed] what the last restart meant, for as long as it matters
 */

/**
 * @typedef {object} NodeView one of the nodes that share a registry
 * @property {string} name
 * @property {string} version
 * @property {string | null} address
 * @property {"LIVE" | "LEFT" | "LOST"} status
 * @property {boolean} own
 * @property {number} position
 * @property {number} streams
 * @property {string} joinedAt
 * @property {string} lastSeenAt
 * @property {string | null} endedAt
 */

/** @typedef {{awayFrom: string, awayUntil: string, agents: number, notBack: number}} Resumed */

/** @typedef {"enrol" | "agent" | "metrics" | "viewer" | "operator" | "admin"} Role */

/** @typedef {{tokenId?: string, role: Role, groups?: string[], expiresAt?: string | null}} Principal */

/**
 * @typedef {object} AuthView
 * @property {boolean} required
 * @property {string[]} methods
 * @property {string} [registry]
 * @property {Principal} [principal] who asks
 */

export {};
