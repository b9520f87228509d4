"""Where an agent's commands run and its files live: isolated, found again, and rewound."""
