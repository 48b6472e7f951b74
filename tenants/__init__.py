"""WHERE: tenants and the only ways into one. Order: fleet, lifecycle, routing, context, registry (each may import
those after it).
"""
