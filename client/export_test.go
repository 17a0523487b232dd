package client

// AgentPath is the agent for the examples.
func AgentPath() string { return agentPath }
