"""Many agents, ready at one instant T: when each is asked, what they answer, and how well that is foreseen."""
