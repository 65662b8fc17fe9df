"""Both adapters under real servers, over real connections."""
