"""The search attributes by which runs are found in Temporal."""

from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
)

from perdure.contracts import AgentRequest, RunStatus
from perdure.teams.contracts import TeamRequest

AGENT_NAME = SearchAttributeKey.for_keyword("AgentName")
AGENT_STATUS = SearchAttributeKey.for_keyword("AgentStatus")
AGENT_MODEL = SearchAttributeKey.for_keyword("AgentModel")
TEAM_ID = SearchAttributeKey.for_keyword("TeamId")
CONVERSATION_ID = SearchAttributeKey.for_keyword("ConversationId")
USER_ID = SearchAttributeKey.for_keyword("UserId")
AGENT_STEPS = SearchAttributeKey.for_int("AgentSteps")
AGENT_COST_USD = SearchAttributeKey.for_float("AgentCostUsd")

ALL = (
    AGENT_NAME,
    AGENT_STATUS,
    AGENT_MODEL,
    TEAM_ID,
    CONVERSATION_ID,
    USER_ID,
    AGENT_STEPS,
    AGENT_COST_USD,
)


def of_request(request: AgentRequest | TeamRequest) -> TypedSearchAttributes:
    """What is known of a run before it begins."""
    who = request.agent if isinstance(request, AgentRequest) else request.team
    known = {
        AGENT_NAME: who if isinstance(who, str) else who.name,
        AGENT_STATUS: RunStatus.RUNNING,
        CONVERSATION_ID: request.conversation,
        USER_ID: request.user,
    }
    return TypedSearchAttributes(
        [SearchAttributePair(key, value) for key, value in known.items() if value is not None]
    )
